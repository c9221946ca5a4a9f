<?php

declare(strict_types=1);

/** Conditions, order and page of a list. */
final class ListQuery
{
    private array $conditions = [];
    private array $values = [];

    public function __construct(private readonly Database $database, private readonly string $table, string $scope)
    {
        $this->conditions[] = $scope;
    }

    /** Adds a condition, if the value of the parameter is present. */
    public function where(mixed $value, string $condition): void
    {
        if ($value === null) {
            return;
        }
        $this->conditions[] = $condition;
        $this->values[] = $value;
    }

    /** Adds "column IN (values)", if the list is present and not empty. */
    public function whereIn(?array $values, string $condition): void
    {
        if ($values === null || $values === []) {
            return;
        }
        $this->conditions[] = str_replace('?', '(' . implode(', ', array_fill(0, count($values), '?')) . ')', $condition);
        array_push($this->values, ...$values);
    }

    /** Adds a condition without values that holds, or does not hold. */
    public function whereIs(?bool $expected, string $condition): void
    {
        if ($expected !== null) {
            $this->conditions[] = $expected ? $condition : "NOT $condition";
        }
    }

    /** @param list<string> $columns expressions in SQL */
    public function search(?string $text, array $columns): void
    {
        if ($text === null) {
            return;
        }
        $table = $this->table;
        if (bug('message-search-finds-any-word') && $table === 'messages' && trim($text) !== '') {
            $words = preg_split('/\s+/u', $text, -1, PREG_SPLIT_NO_EMPTY);
            $this->conditions[] = '(' . implode(' OR ', array_fill(0, count($words), 'contains(content, ?)')) . ')';
            array_push($this->values, ...$words);
            return;
        }
        $parts = [];
        foreach ($columns as $column) {
            if ((bug('search-wildcards-not-escaped') && $table === 'agents') || (bug('message-search-wildcards') && $table === 'messages')) {
                $parts[] = "$column LIKE '%' || ? || '%'";
            } elseif (bug('search-ascii-case-only') && $table === 'threads') {
                $parts[] = "instr(lower($column), lower(?)) > 0";
            } elseif (bug('search-case-sensitive') && $table === 'prompts') {
                $parts[] = "instr($column, ?) > 0";
            } else {
                $parts[] = "contains($column, ?)";
            }
            $this->values[] = $text;
        }
        $condition = implode(' OR ', $parts);
        $this->conditions[] = bug('search-or-without-parentheses') && $table === 'providers' ? $condition : "($condition)";
    }

    private function from(): string
    {
        return " FROM {$this->table} WHERE " . implode(' AND ', $this->conditions);
    }

    public function total(): int
    {
        return $this->database->value('SELECT COUNT(*)' . $this->from(), $this->values);
    }

    /** @return list<array<string, mixed>> */
    public function rows(string $order, int $size, int $offset): array
    {
        return $this->database->all("SELECT *{$this->from()} ORDER BY $order LIMIT $size OFFSET $offset", $this->values);
    }

    /** @return list<mixed> the first column of the matching rows */
    public function select(string $columns, string $suffix = ''): array
    {
        return $this->database->all("SELECT $columns{$this->from()} $suffix", $this->values);
    }
}

/** What all controllers share: lists, updates, references to other records. */
abstract class Controller
{
    public function __construct(
        protected readonly Database $database,
        protected readonly Access $access,
        protected readonly Presenter $present,
        protected readonly Request $request,
    ) {
    }

    protected function query(string $table): ListQuery
    {
        return new ListQuery($this->database, $table, $this->access->scope($table));
    }

    /**
     * Returns a page of the list.
     *
     * @param array<string, mixed> $values validated query parameters
     * @param array<string, string> $columns expressions in SQL by name in `sort_by`; a column of this name is the default
     * @param ListQuery|null $counted query of the total, if it is not the list
     */
    protected function page(ListQuery $list, array $values, array $columns, callable $present, ?ListQuery $counted = null): Response
    {
        $size = $values['per_page'];
        $page = $values['page'];
        if (bug('per-page-clamped')) {
            $size = min($size, 100);
        }
        if (bug('page-zero-accepted')) {
            $page = max(1, $page);
        }
        $total = ($counted ?? $list)->total();
        if (bug('page-after-last-clamped')) {
            $page = min($page, max(1, (int) ceil($total / $size)));
        }
        $offset = bug('offset-uses-default-size') ? ($page - 1) * 20 : ($page - 1) * $size;
        $sortsPageOnly = bug('prompts-sorted-within-page') && $this instanceof Prompts && $values['sort_by'] !== null;
        $order = $this->order($sortsPageOnly ? ['sort_by' => null, 'sort_direction' => null] : $values, $columns);
        $rows = $list->rows($order, $size, $offset);
        if ($sortsPageOnly) {
            $rows = self::sortRows($rows, $values['sort_by'], $values['sort_direction'] ?? 'asc');
        }
        if (bug('late-pages-read-backwards') && $total > $size && $offset > $total / 2) {
            // Large offsets are slow: read from the other end and reverse.
            $reversed = strtr(explode(', ', $order)[0], ['ASC' => 'DESC', 'DESC' => 'ASC']) . ', id DESC';
            $rest = max(0, min($size, $total - $offset));
            $rows = array_reverse($list->rows($reversed, $rest, max(0, $total - $offset - $rest)));
        }
        $last = max(bug('last-page-of-empty-list-zero') ? 0 : 1, (int) ceil($total / $size));
        if (bug('last-page-rounded-down')) {
            $last = max(1, intdiv($total, $size));
        }
        if (bug('total-is-page-count') && $this instanceof Prompts) {
            $total = count($rows);
        }
        $hasNext = bug('next-link-on-full-last-page') ? count($rows) === $size : $page < $last;
        $length = bug('last-item-beyond-total') && $this instanceof Memories ? $size : count($rows);
        $meta = [
            'current_page' => $page, 'from' => $rows === [] ? null : $offset + 1, 'last_page' => $last, 'per_page' => $size,
            'to' => $rows === [] ? null : $offset + $length, 'total' => $total, 'path' => $this->request->url($this->request->path),
        ];
        $links = [
            'first' => $this->pageUrl(1), 'last' => $this->pageUrl($last), 'prev' => $page > 1 ? $this->pageUrl($page - 1) : null,
            'next' => $hasNext ? $this->pageUrl($page + 1) : null,
        ];
        return new Response(200, ['data' => array_map($present, $rows), 'meta' => $meta, 'links' => $links]);
    }

    private static function sortRows(array $rows, string $column, string $direction): array
    {
        usort($rows, static fn (array $a, array $b): int => $a[$column] <=> $b[$column]);
        return $direction === 'asc' ? $rows : array_reverse($rows);
    }

    private function order(array $values, array $columns): string
    {
        $name = $values['sort_by'];
        $direction = $values['sort_direction'];
        if ($name === null) {
            $direction ??= bug('memories-oldest-first') && $this instanceof Memories ? 'asc' : 'desc';
            $direction = strtoupper($direction);
            return "created_at $direction, id $direction";
        }
        $direction ??= bug('threads-sorted-descending-by-default') && $this instanceof Threads ? 'desc' : 'asc';
        if (bug('workflow-sort-direction-ignored') && $this instanceof Workflows) {
            $direction = 'asc';
        }
        $column = $columns[$name] ?? $name;
        $direction = strtoupper($direction);
        return bug('late-pages-read-backwards') ? "$column $direction, id DESC" : "$column $direction, id $direction";
    }

    private function pageUrl(int $page): string
    {
        $pairs = ["page=$page"];
        foreach (bug('links-drop-filters') ? [] : explode('&', $this->request->queryString) as $pair) {
            $name = urldecode(explode('=', $pair, 2)[0]);
            if (bug('execution-links-drop-lists') && preg_match('/^workflow_uuids(\[\d*\])?$/D', $name) === 1) {
                continue;
            }
            if ($pair !== '' && !in_array($name, ['page', 'page[]'], true)) {
                $pairs[] = preg_replace_callback(
                    '/[^A-Za-z0-9\-._~%=+!$\'()*,;:@\/?]/',
                    static fn (array $match): string => rawurlencode($match[0]),
                    $pair
                );
            }
        }
        return $this->request->url($this->request->path) . '?' . implode('&', $pairs);
    }

    /** Validated body, without fields that have no rule. */
    protected function body(array $rules): array
    {
        $values = Validator::body($this->request->json(), $rules);
        if (bug('message-content-trimmed') && $this instanceof Messages && isset($values['content'])) {
            $values['content'] = trim($values['content']) ?: $values['content'];
        }
        if (bug('line-breaks-normalized') && $this instanceof Messages && isset($values['content'])) {
            $values['content'] = str_replace(["\r\n", "\r"], "\n", $values['content']);
        }
        if (bug('prompt-content-trimmed') && $this instanceof Prompts && isset($values['content'])) {
            $values['content'] = trim($values['content']) ?: $values['content'];
        }
        return $values;
    }

    protected function parameters(array $rules): array
    {
        return Validator::query($this->request, $rules);
    }

    protected function tree(array $rules): ?array
    {
        return Presenter::tree($this->parameters($rules)['with']);
    }

    /** Id of the workspace for a new record. */
    protected function workspaceId(array $values): int
    {
        if (!isset($values['workspace_uuid'])) {
            return $this->access->user['primary_workspace_id'];
        }
        if (bug('foreign-workspace-accepted') && $this instanceof Prompts) {
            return $this->database->value('SELECT id FROM workspaces WHERE uuid = ?', [$values['workspace_uuid']])
                ?? throw $this->access->notFound('workspaces', $values['workspace_uuid']);
        }
        return $this->access->find('workspaces', $values['workspace_uuid'])['id'];
    }

    /** @return list<int> ids of the records, in the order of the UUIDs */
    protected function ids(string $table, array $uuids): array
    {
        $ids = [];
        foreach (array_unique($uuids) as $uuid) {
            if (bug('unknown-tools-of-new-agent-ignored') && $table === 'tools' && $this->request->method === 'POST') {
                $id = $this->database->value('SELECT id FROM tools WHERE uuid = ?', [$uuid]);
                array_push($ids, ...($id === null ? [] : [$id]));
            } elseif (bug('hidden-workflows-can-be-linked') && $table === 'workflows') {
                $ids[] = $this->database->value('SELECT id FROM workflows WHERE uuid = ?', [$uuid])
                    ?? throw $this->access->notFound('workflows', $uuid);
            } else {
                $ids[] = $this->access->find($table, $uuid)['id'];
            }
        }
        return $ids;
    }

    /** Inserts a record with a new UUID and the current time, and returns its row. */
    protected function create(string $table, array $values): array
    {
        $now = now();
        $row = ['uuid' => newUuid()] + $values + ['created_at' => $now, 'updated_at' => $now];
        $id = $this->database->insert($table, $row);
        return $this->database->row("SELECT * FROM $table WHERE id = ?", [$id]);
    }

    /**
     * Stores changed fields. Fields of `$merged` are objects whose keys are merged into the stored ones.
     *
     * @param array<string, mixed> $values
     * @return array<string, mixed> the new row
     */
    protected function change(string $table, array $row, array $values, array $merged = ['metadata'], bool $touch = false): array
    {
        foreach ($merged as $name) {
            if (isset($values[$name]) && !(bug('agent-metadata-replaced') && $table === 'agents')) {
                $values[$name] = bug('workspace-metadata-lists-appended') && $table === 'workspaces'
                    ? self::mergeRecursively(json_decode($row[$name]), $values[$name])
                    : self::merge(json_decode($row[$name]), $values[$name]);
            }
        }
        if (bug('null-ignored-in-updates') && $table === 'providers') {
            $values = array_filter($values, static fn ($value) => $value !== null);
        }
        if (bug('empty-values-ignored-in-updates') && $table === 'agents') {
            $values = array_filter($values, static fn ($value) => !empty($value));
        }
        $changes = [];
        foreach ($values as $name => $value) {
            $stored = $this->database->toStored($value);
            if ($stored !== $row[$name]) {
                $changes[$name] = $stored;
            }
        }
        if ($changes === [] && !$touch) {
            return $row;
        }
        $keepsTime = (bug('updated-at-kept-by-message-update') && $table === 'messages')
            || (bug('updated-at-kept-by-memory-update') && $table === 'memories');
        if (!$keepsTime) {
            $changes['updated_at'] = now();
        }
        $this->database->update($table, $row['id'], $changes);
        return $this->database->row("SELECT * FROM $table WHERE id = ?", [$row['id']]);
    }

    /** Returns the object with the keys of the other one merged in. */
    protected static function merge(stdClass $object, stdClass $changes): stdClass
    {
        $result = clone $object;
        foreach ($changes as $key => $value) {
            $result->{$key} = $value;
        }
        return $result;
    }

    /** Returns the object with the keys of the other one merged in: objects key by key, lists one after the other. */
    private static function mergeRecursively(stdClass $object, stdClass $changes): stdClass
    {
        $result = clone $object;
        foreach ($changes as $key => $value) {
            $current = $result->{$key} ?? null;
            $result->{$key} = match (true) {
                is_array($current) && is_array($value) => [...$current, ...$value],
                $current instanceof stdClass && $value instanceof stdClass => self::mergeRecursively($current, $value),
                default => $value,
            };
        }
        return $result;
    }

    /** Returns a text for URLs: lower-case letters, digits and hyphens. A text without them is returned unchanged. */
    protected static function slug(string $text): string
    {
        return trim(preg_replace('/[^a-z0-9]+/', '-', strtolower($text)), '-') ?: $text;
    }

    /** Defaults of an object, with the keys of the request. */
    protected static function withDefaults(string $defaults, ?stdClass $values): stdClass
    {
        return self::merge(json_decode($defaults, false, 512, JSON_THROW_ON_ERROR), $values ?? new stdClass());
    }

    protected static function photo(string $emoji): stdClass
    {
        return (object) ['emoji' => $emoji, 'background_color' => '#3B82F6', 'preference' => 'emoji'];
    }

    protected function delete(string $table, array $row): Response
    {
        $this->database->run("DELETE FROM $table WHERE id = ?", [$row['id']]);
        return new Response(204);
    }

    /** Returns the value from the cache; builds it and caches it for 60 s if it is missing. */
    protected function cached(string $key, callable $build): mixed
    {
        $cached = $this->database->value('SELECT value FROM cache WHERE key = ? AND expires_at > ?', [$key, microtime(true)]);
        if ($cached !== null) {
            return json_decode($cached);
        }
        $body = $build();
        $this->database->run('INSERT OR REPLACE INTO cache VALUES (?, ?, ?)', [$key, json_encode($body), microtime(true) + 60]);
        return $body;
    }

    /** Marks the record as deleted. */
    protected function softDelete(string $table, array $row): Response
    {
        $this->database->update($table, $row['id'], ['deleted_at' => now()]);
        return new Response(204);
    }

    /** Condition on the workspace of a record, by UUID or organization. Takes one value. */
    protected function inWorkspace(string $column, string $property = 'uuid'): string
    {
        return "$column IN (SELECT id FROM workspaces WHERE $property = ? AND id IN {$this->access->workspaceList()})";
    }

    /** Condition on the user of a record. Takes one value. */
    protected static function byUser(string $column, string $property): string
    {
        return "$column IN (SELECT id FROM users WHERE $property = ?)";
    }

    /** Condition that the record has a share that the caller may see. */
    protected function hasShare(string $type, string $table): string
    {
        $scope = $this->access->scope('shares', 's');
        if (bug('shared-filter-ignores-workspaces') && $type === 'agent') {
            $scope .= " AND s.entity_type = 'user'";
        }
        return "EXISTS (SELECT 1 FROM shares s WHERE s.subject_type = '$type' AND s.subject_id = $table.id AND $scope)";
    }
}
