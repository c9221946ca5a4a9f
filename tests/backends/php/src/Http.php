<?php

declare(strict_types=1);

/** An error response: status, message, and for a 422 the messages of each field. */
final class HttpError extends RuntimeException
{
    public function __construct(
        public readonly int $status,
        string $message,
        public readonly array $errors = [],
        public readonly array $headers = [],
    ) {
        parent::__construct($message);
    }

    /** @param array<string, list<string>> $errors messages by field */
    public static function invalid(array $errors): self
    {
        if (bug('first-error-only')) {
            $errors = array_slice($errors, 0, 1, true);
        }
        return new self(422, bug('validation-message-generic') ? 'The given data was invalid.' : reset($errors)[0], $errors);
    }

    public function toResponse(): Response
    {
        if (($this->headers['Content-Type'] ?? '') !== '') {
            return new Response($this->status, "<html><body><h1>{$this->getMessage()}</h1></body></html>", $this->headers);
        }
        $body = ['message' => $this->getMessage()];
        if ($this->errors !== []) {
            $body['errors'] = (object) $this->errors;
        }
        $headers = $this->headers;
        if ($this->status === 422 && bug('errors-without-content-type')) {
            $headers['Content-Type'] = 'text/html; charset=UTF-8';
        }
        return new Response($this->status, $body, $headers);
    }
}

/** A response with a JSON body, or none. */
final class Response
{
    public function __construct(
        public readonly int $status,
        public readonly mixed $body = null,
        public readonly array $headers = [],
        public readonly array $cookies = [],
    ) {
    }

    public function send(bool $withBody = true): void
    {
        http_response_code($this->status);
        foreach ($this->headers + ['Content-Type' => 'application/json'] as $name => $value) {
            if ($this->body !== null || $name !== 'Content-Type') {
                header("$name: $value");
            }
        }
        if ($this->body === null) {
            header_remove('Content-Type');
            ini_set('default_mimetype', '');
        }
        foreach ($this->cookies as $cookie) {
            header("Set-Cookie: $cookie", false);
        }
        if ($this->body !== null && $withBody) {
            echo $this->encode();
        }
    }

    private function encode(): string
    {
        if (is_string($this->body)) {
            return $this->body;
        }
        $flags = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR;
        if (bug('numeric-strings-as-numbers')) {
            $flags |= JSON_NUMERIC_CHECK;
        }
        return json_encode($this->body, $flags);
    }
}

/** An HTTP request. Query parameters without a value are absent. */
final class Request
{
    private const MAX_BODY_BYTES = 20_000_000;

    /**
     * @param array<string, list<string>> $query values by parameter name
     * @param array<string, string> $headers values by lower-case name
     */
    public function __construct(
        public readonly string $method,
        public readonly string $path,
        public readonly string $queryString,
        public readonly array $query,
        public readonly array $headers,
        public readonly array $cookies,
        private readonly string $body,
    ) {
    }

    public static function fromServer(): self
    {
        [$path, $queryString] = explode('?', $_SERVER['REQUEST_URI'], 2) + [1 => ''];
        if (preg_match('#^https?://[^/]+(/.*)?$#i', $path, $match) === 1) {
            $path = $match[1] ?? '/';
        }
        return new self(
            $_SERVER['REQUEST_METHOD'],
            $path,
            $queryString,
            self::parseQuery($queryString),
            array_change_key_case(getallheaders()),
            $_COOKIE,
            (string) file_get_contents('php://input'),
        );
    }

    /** @return array<string, list<string>> */
    public static function parseQuery(string $text): array
    {
        $values = [];
        foreach (explode('&', $text) as $pair) {
            [$name, $value] = explode('=', $pair, 2) + [1 => ''];
            $name = preg_replace('/\[\d*\]$/', '', urldecode($name));
            if ($name !== '' && ($value !== '' || bug('empty-parameter-rejected'))) {
                $values[$name][] = urldecode($value);
            }
        }
        return $values;
    }

    public function header(string $name): string
    {
        return $this->headers[strtolower($name)] ?? '';
    }

    public function hasBody(): bool
    {
        return $this->body !== '';
    }

    public function changesState(): bool
    {
        return !in_array($this->method, ['GET', 'HEAD', 'OPTIONS'], true);
    }

    /** URL of the path without the query string. */
    public function url(string $path): string
    {
        $host = bug('page-links-use-configured-host') ? 'localhost' : $this->header('Host');
        return 'http://' . ($host ?: 'localhost') . $path;
    }

    /** Raises an error if the client accepts no JSON. */
    public function requireJsonAccepted(): void
    {
        $accept = $this->header('Accept');
        if (trim($accept) === '') {
            return;
        }
        $quality = ['application/json' => null, 'application/*' => null, '*/*' => null];
        foreach (explode(',', strtolower($accept)) as $range) {
            $parts = array_map('trim', explode(';', $range));
            $weight = 1.0;
            foreach (array_slice($parts, 1) as $parameter) {
                if (str_starts_with($parameter, 'q=')) {
                    $weight = (float) substr($parameter, 2);
                }
            }
            if (array_key_exists($parts[0], $quality)) {
                $quality[$parts[0]] = max($weight, $quality[$parts[0]] ?? 0.0);
            }
        }
        if (($quality['application/json'] ?? $quality['application/*'] ?? $quality['*/*'] ?? 0.0) <= 0.0) {
            throw new HttpError(406, 'Only application/json is available.');
        }
    }

    /** Returns the JSON body. Raises 413, 415 or 400, or 422 if it is not an object. */
    public function json(): stdClass
    {
        if (strlen($this->body) > self::MAX_BODY_BYTES) {
            throw new HttpError(413, 'The request body is larger than ' . self::MAX_BODY_BYTES . ' bytes.');
        }
        $type = strtolower(trim(explode(';', $this->header('Content-Type'))[0]));
        if (bug('charset-of-content-type-rejected')) {
            $type = $this->header('Content-Type');
        }
        if ($type !== 'application/json') {
            throw new HttpError(415, 'The content type must be application/json.');
        }
        if (bug('update-ignores-malformed-json') && $this->method === 'PUT') {
            $value = json_decode($this->body) ?? new stdClass();
        } else {
            $value = $this->decode();
        }
        if (!$value instanceof stdClass) {
            throw HttpError::invalid(['body' => ['The body must be an object.']]);
        }
        if (bug('strips-four-byte-characters')) {
            array_walk_recursive_object($value, static fn (string $text): string => preg_replace('/[\x{10000}-\x{10FFFF}]/u', '?', $text));
        }
        return $value;
    }

    private function decode(): mixed
    {
        try {
            return limitNumbers(json_decode($this->body, false, 512, JSON_THROW_ON_ERROR));
        } catch (JsonException $error) {
            throw new HttpError(400, 'The request body is not valid JSON: ' . $error->getMessage() . '.');
        }
    }
}

/** Replaces numbers that exceed a double, which JSON cannot represent, by the largest one. */
function limitNumbers(mixed $value): mixed
{
    if (is_float($value) && is_infinite($value)) {
        return $value > 0 ? PHP_FLOAT_MAX : -PHP_FLOAT_MAX;
    }
    if (is_array($value)) {
        return array_map('limitNumbers', $value);
    }
    if ($value instanceof stdClass) {
        foreach ($value as $key => $item) {
            $value->{$key} = limitNumbers($item);
        }
    }
    return $value;
}

/** Applies a function to all strings in an object or list. */
function array_walk_recursive_object(stdClass|array &$value, callable $change): void
{
    foreach ($value as $key => $item) {
        if (is_string($item)) {
            $item = $change($item);
        } elseif ($item instanceof stdClass || is_array($item)) {
            array_walk_recursive_object($item, $change);
        }
        is_array($value) ? $value[$key] = $item : $value->{$key} = $item;
    }
}
