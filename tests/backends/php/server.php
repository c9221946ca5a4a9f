<?php

declare(strict_types=1);

/**
 * Starts the backend: prepares the database and runs PHP's built-in web server.
 *
 * php server.php --port N --database FILE [--host HOST] [--workers N] [--fresh]
 */

require __DIR__ . '/src/Database.php';
require __DIR__ . '/src/Seeder.php';

const USAGE = "usage: php server.php --port N --database FILE [--host HOST] [--workers N] [--fresh]\n";

/** Prints a message for the user and ends the program with exit code 2. */
function fail(string $message): never
{
    fwrite(STDERR, $message . "\n" . USAGE);
    exit(2);
}

/** Returns the value of a numeric option, or ends the program if it is out of range. */
function numberOption(array $options, string $name, int $default, int $max): int
{
    $text = $options[$name] ?? (string) $default;
    $value = filter_var($text, FILTER_VALIDATE_INT, ['options' => ['min_range' => 1, 'max_range' => $max]]);
    if ($value === false) {
        fail("--$name: got '$text', expected a number from 1 to $max");
    }
    return $value;
}

$options = getopt('', ['port:', 'database:', 'host:', 'workers:', 'fresh', 'help'], $rest);
if (isset($options['help'])) {
    echo USAGE;
    exit(0);
}
if ($rest < $argc) {
    fail("unknown argument '{$argv[$rest]}'");
}
if (!isset($options['database'])) {
    fail('--database: missing, expected the path of a file');
}
$file = $options['database'];
if (isset($options['fresh'])) {
    foreach (['', '-wal', '-shm'] as $suffix) {
        @unlink($file . $suffix);
    }
}
try {
    $database = new Database($file);
    $database->createTables();
    if ($database->value('SELECT COUNT(*) FROM users') === 0) {
        (new Seeder($database))->run();
    }
} catch (PDOException $error) {
    fail("--database $file: cannot be opened or written: {$error->getMessage()}");
}
unset($database);

$port = numberOption($options, 'port', 8080, 65535);
$workers = numberOption($options, 'workers', 2, 64);
$settings = [
    'display_errors=0', 'log_errors=1', 'error_log=/dev/stderr', 'html_errors=0', 'expose_php=0', 'post_max_size=0',
    'enable_post_data_reading=0', 'opcache.enable_cli=1', 'memory_limit=256M', 'date.timezone=UTC', 'max_execution_time=60',
];
$arguments = [];
foreach ($settings as $setting) {
    array_push($arguments, '-d', $setting);
}
array_push($arguments, '-S', ($options['host'] ?? '127.0.0.1') . ":$port", '-t', __DIR__, __DIR__ . '/router.php');
$environment = ['ATHENA_DATABASE' => realpath($file)] + getenv();
if ($workers > 1) {
    $environment['PHP_CLI_SERVER_WORKERS'] = (string) $workers;
}

// The web server starts worker processes and does not end them: it gets its own process group, which ends with this process.
$server = pcntl_fork();
if ($server === 0) {
    posix_setsid();
    pcntl_exec(PHP_BINARY, $arguments, $environment);
    exit(1);
}
pcntl_async_signals(true);
foreach ([SIGTERM, SIGINT, SIGHUP] as $signal) {
    pcntl_signal($signal, static fn () => posix_kill(-$server, SIGTERM), false);
}
while (pcntl_waitpid($server, $status) === -1) {
    // Interrupted by a signal.
}
posix_kill(-$server, SIGTERM);
exit(pcntl_wifexited($status) ? pcntl_wexitstatus($status) : 0);
