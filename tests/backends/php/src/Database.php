<?php

declare(strict_types=1);

/** SQLite database. Booleans are stored as 0 and 1; lists and objects as JSON. */
final class Database
{
    private PDO $connection;

    public function __construct(string $file)
    {
        $this->connection = new PDO("sqlite:$file", null, null, [
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
        ]);
        $this->connection->exec('PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON');
        $this->connection->sqliteCreateFunction('contains', self::contains(...), 2, PDO::SQLITE_DETERMINISTIC);
    }

    /** Returns 1 if the text contains the other one, without regard to case. */
    private static function contains(?string $text, string $part): int
    {
        return (int) str_contains(mb_convert_case((string) $text, MB_CASE_FOLD), mb_convert_case($part, MB_CASE_FOLD));
    }

    /** @return list<array<string, mixed>> */
    public function all(string $sql, array $values = []): array
    {
        $statement = $this->connection->prepare($sql);
        $statement->execute(array_map($this->toStored(...), $values));
        return $statement->fetchAll();
    }

    /** @return array<string, mixed>|null */
    public function row(string $sql, array $values = []): ?array
    {
        return $this->all($sql, $values)[0] ?? null;
    }

    public function value(string $sql, array $values = []): mixed
    {
        $row = $this->row($sql, $values);
        return $row === null ? null : reset($row);
    }

    /** @return list<mixed> the first column */
    public function column(string $sql, array $values = []): array
    {
        return array_map(static fn (array $row) => reset($row), $this->all($sql, $values));
    }

    public function run(string $sql, array $values = []): void
    {
        $this->connection->prepare($sql)->execute(array_map($this->toStored(...), $values));
    }

    /** Inserts a row and returns its id. */
    public function insert(string $table, array $row): int
    {
        $columns = implode(', ', array_keys($row));
        $marks = implode(', ', array_fill(0, count($row), '?'));
        $this->run("INSERT INTO $table ($columns) VALUES ($marks)", array_values($row));
        return (int) $this->connection->lastInsertId();
    }

    public function update(string $table, int $id, array $changes): void
    {
        $assignments = implode(', ', array_map(static fn (string $name) => "$name = ?", array_keys($changes)));
        $this->run("UPDATE $table SET $assignments WHERE id = ?", [...array_values($changes), $id]);
    }

    public function toStored(mixed $value): mixed
    {
        return match (true) {
            is_bool($value) => (int) $value,
            is_array($value), $value instanceof stdClass => json_encode(
                $value,
                JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR
            ),
            default => $value,
        };
    }

    /** Runs a function in a transaction, which is rolled back if it raises an error. */
    public function transaction(callable $work): mixed
    {
        $this->connection->exec('BEGIN IMMEDIATE');
        try {
            $result = $work();
            $this->connection->exec('COMMIT');
            return $result;
        } catch (Throwable $error) {
            $this->connection->exec('ROLLBACK');
            throw $error;
        }
    }

    public function commit(): void
    {
        $this->connection->exec('COMMIT; BEGIN IMMEDIATE');
    }

    public function createTables(): void
    {
        $this->connection->exec(file_get_contents(__DIR__ . '/schema.sql'));
    }
}

/** The current time in UTC, as stored and returned. */
function now(): string
{
    return (new DateTimeImmutable('now', new DateTimeZone('UTC')))->format('Y-m-d\TH:i:s.u\Z');
}

/** A random UUID (version 4). */
function newUuid(): string
{
    $bytes = random_bytes(16);
    $bytes[6] = chr(ord($bytes[6]) & 0x0F | 0x40);
    $bytes[8] = chr(ord($bytes[8]) & 0x3F | 0x80);
    return vsprintf('%s%s-%s-%s-%s-%s%s%s', str_split(bin2hex($bytes), 4));
}
