<?php

declare(strict_types=1);

/** Validates values against rules (see Rules) and collects messages by field path. */
final class Validator
{
    private const UUID = '/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/iD';
    private const DATE_TIME = '/^(\d{4})-(\d{2})-(\d{2})[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/D';
    private const URI = '~^[a-z][a-z0-9+.\-]*:(?:[a-z0-9\-._\~:/?#\[\]@!$&\'()*+,;=]|%[0-9a-f]{2})*$~iD';

    /** @var array<string, list<string>> */
    private array $errors = [];

    /**
     * Returns the fields of the body that have rules and are present.
     *
     * @param array<string, array> $rules by field
     * @return array<string, mixed>
     */
    public static function body(stdClass $body, array $rules): array
    {
        $validator = new self();
        $values = $validator->fields($body, $rules, '');
        $validator->finish();
        return $values;
    }

    /**
     * Returns the query parameters, converted; null if absent and without default.
     *
     * @param array<string, array> $rules by parameter
     * @return array<string, mixed>
     */
    public static function query(Request $request, array $rules): array
    {
        $validator = new self();
        $values = [];
        foreach ($rules as $name => $rule) {
            $values[$name] = $validator->parameter($request->query[$name] ?? [], $rule, $name);
        }
        $validator->finish();
        return $values;
    }

    private function finish(): void
    {
        if ($this->errors !== []) {
            throw HttpError::invalid($this->errors);
        }
    }

    private function fail(string $path, string $problem): null
    {
        $this->errors[$path][] = 'The ' . str_replace('_', ' ', $path) . " field $problem.";
        return null;
    }

    private function parameter(array $texts, array $rule, string $name): mixed
    {
        if ($texts === []) {
            return isset($rule['required']) ? $this->fail($name, 'is required') : ($rule['default'] ?? null);
        }
        if ($rule['type'] === 'array') {
            if (isset($rule['separator'])) {
                $texts = explode($rule['separator'], implode($rule['separator'], $texts));
            }
            $item = $rule['items'];
            return $this->value(array_map(fn (string $text) => $this->convert($text, $item['type']), $texts), $rule, $name);
        }
        return $this->value($this->convert(end($texts), $rule['type']), $rule, $name);
    }

    private function convert(string $text, string $type): mixed
    {
        if ($type === 'integer' && preg_match('/^(0|-?[1-9]\d*)$/D', $text) === 1) {
            return is_int($text + 0) ? (int) $text : (float) $text;
        }
        if ($type === 'boolean' && in_array($text, ['true', 'false'], true)) {
            return $text === 'true';
        }
        return $text;
    }

    private function fields(stdClass $object, array $rules, string $prefix, bool $closed = false): array
    {
        $values = [];
        foreach ($rules as $name => $rule) {
            if (property_exists($object, (string) $name)) {
                $values[$name] = $this->value($object->{$name}, $rule, $prefix . $name);
            } elseif (isset($rule['required'])) {
                $this->fail($prefix . $name, 'is required');
            } elseif (isset($rule['default'])) {
                $values[$name] = $rule['default'];
            }
        }
        if ($closed) {
            foreach ($object as $name => $value) {
                if (!isset($rules[$name])) {
                    $this->fail($prefix . $name, 'is not allowed');
                }
            }
        }
        return $values;
    }

    private function value(mixed $value, array $rule, string $path): mixed
    {
        if ($value === null) {
            return isset($rule['nullable']) ? null : $this->fail($path, 'cannot be null');
        }
        $value = match ($rule['type']) {
            'string' => $this->text($value, $rule, $path),
            'integer', 'number' => $this->number($value, $rule, $path),
            'boolean' => match (true) {
                is_bool($value) => $value,
                isset($rule['loose']) && in_array($value, [0, 1, '0', '1'], true) => (bool) $value,
                default => $this->fail($path, 'must be true or false'),
            },
            'array' => $this->items($value, $rule, $path),
            'object' => $this->object($value, $rule, $path),
            'union' => $this->union($value, $rule['rules'], $path),
        };
        return $value;
    }

    private function text(mixed $value, array $rule, string $path): ?string
    {
        if (!is_string($value) || !mb_check_encoding($value, 'UTF-8')) {
            return $this->fail($path, 'must be a string');
        }
        if (isset($rule['enum'])) {
            return in_array($value, $rule['enum'], true) ? $value : $this->fail($path, 'must be one of ' . implode(', ', $rule['enum']));
        }
        $length = bug('length-in-bytes') ? strlen($value) : mb_strlen($value, 'UTF-8');
        if ($length < ($rule['min'] ?? 0)) {
            return $this->fail($path, "must have at least {$rule['min']} character");
        }
        if ($length > ($rule['max'] ?? PHP_INT_MAX)) {
            return $this->fail($path, "must not have more than {$rule['max']} characters");
        }
        return $this->format($value, $rule['format'] ?? '', $path);
    }

    private function format(string $value, string $format, string $path): ?string
    {
        return match ($format) {
            'uuid' => preg_match(self::UUID, $value) === 1 ? strtolower($value) : $this->fail($path, 'must be a UUID'),
            'uri' => preg_match(self::URI, $value) === 1 ? $value : $this->fail($path, 'must be a URL'),
            'email' => filter_var($value, FILTER_VALIDATE_EMAIL) !== false ? $value : $this->fail($path, 'must be an email address'),
            'date' => $this->isDate($value) ? $value : $this->fail($path, 'must be a date such as 2024-01-15'),
            'date-time' => $this->dateTime($value) ?? $this->fail($path, 'must be a date and time such as 2024-01-15T10:30:00Z'),
            default => $value,
        };
    }

    private function isDate(string $value): bool
    {
        if (bug('impossible-date-accepted')) {
            return preg_match('/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/D', $value) === 1;
        }
        return preg_match('/^(\d{4})-(\d{2})-(\d{2})$/D', $value, $parts) === 1
            && checkdate((int) $parts[2], (int) $parts[3], (int) $parts[1]);
    }

    private function dateTime(string $value): ?string
    {
        if (preg_match(self::DATE_TIME, $value, $parts) !== 1 || !checkdate((int) $parts[2], (int) $parts[3], (int) $parts[1])) {
            return null;
        }
        if (bug('offset-of-time-ignored')) {
            return substr($value, 0, 19) . '.000000Z';
        }
        $fraction = bug('wait-till-loses-fraction') ? '000000' : str_pad(substr($parts[7], 1, 6), 6, '0');
        $time = new DateTimeImmutable(substr($value, 0, 19) . strtoupper($parts[8]));
        return $time->setTimezone(new DateTimeZone('UTC'))->format('Y-m-d\TH:i:s') . ".{$fraction}Z";
    }

    private function number(mixed $value, array $rule, string $path): int|float|string|null
    {
        $integer = $rule['type'] === 'integer';
        if (isset($rule['numeric']) && is_string($value) && preg_match('/^\d+$/D', $value) === 1) {
            return $this->number((int) $value, $rule, $path) === null ? null : $value;
        }
        if (!is_int($value) && !is_float($value)) {
            return $this->fail($path, $integer ? 'must be an integer' : 'must be a number');
        }
        if ($integer && is_float($value)) {
            if (floor($value) !== $value) {
                return $this->fail($path, 'must be an integer');
            }
            if (abs($value) < 9.2e18) {
                $value = (int) $value;
            }
        }
        if ($value < ($rule['min'] ?? -INF) || $value > ($rule['max'] ?? INF)) {
            return $this->fail($path, "must be between {$rule['min']} and {$rule['max']}");
        }
        return $value;
    }

    private function items(mixed $value, array $rule, string $path): ?array
    {
        if (!is_array($value)) {
            return $this->fail($path, 'must be a list');
        }
        if (count($value) > $rule['max']) {
            return $this->fail($path, "must not have more than {$rule['max']} items");
        }
        $items = [];
        foreach ($value as $index => $item) {
            $items[] = $this->value($item, $rule['items'], "$path.$index");
        }
        return $items;
    }

    /** The values of an object with known fields are validated; unknown ones are kept unless it is closed. */
    private function object(mixed $value, array $rule, string $path): ?stdClass
    {
        if (!$value instanceof stdClass) {
            return $this->fail($path, 'must be an object');
        }
        $changed = $this->fields($value, $rule['fields'] ?? [], "$path.", isset($rule['closed']));
        if (isset($rule['values'])) {
            foreach ($value as $name => $item) {
                $this->value($item, $rule['values'], "$path.$name");
            }
        }
        $result = clone $value;
        foreach ($changed as $name => $item) {
            $result->{$name} = $item;
        }
        return $result;
    }

    private function union(mixed $value, array $rules, string $path): mixed
    {
        $best = null;
        foreach ($rules as $rule) {
            $attempt = new self();
            $result = $attempt->value($value, $rule, $path);
            if ($attempt->errors === []) {
                return $result;
            }
            $best = !isset($attempt->errors[$path]) || $best === null ? $attempt->errors : $best;
        }
        $this->errors = array_merge($this->errors, $best);
        return null;
    }
}
