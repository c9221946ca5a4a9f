<?php

declare(strict_types=1);

/** Entry point of each request. */

foreach (['bugs', 'Http', 'Validator', 'Rules', 'Database', 'Access', 'Auth', 'Presenter', 'Controller', 'Metrics', 'Resources',
    'Actions', 'Application'] as $file) {
    require_once __DIR__ . "/src/$file.php";
}

set_error_handler(static function (int $level, string $message, string $file, int $line): bool {
    throw new ErrorException($message, 0, $level, $file, $line);
});

(new Application(new Database(getenv('ATHENA_DATABASE'))))->handle(Request::fromServer())->send();
