<?php

declare(strict_types=1);

/** Statistics of resources and workspaces. */
final class Metrics extends Controller
{
    public const PERIODS = ['7d', '30d', '90d', '365d', 'all'];
    private const MAX_POINTS = 10000;
    private const MAX_GROUPS = 400;

    /** Start of a period that ends now; null for all. */
    public static function startOfPeriod(?string $period): ?string
    {
        if ($period === null || $period === 'all') {
            return null;
        }
        return (new DateTimeImmutable('now', new DateTimeZone('UTC')))->modify('-' . (int) $period . ' days')->format('Y-m-d\TH:i:s.u\Z');
    }

    public function agents(): Response
    {
        return $this->resource('agents', ['usage_count', 'threads_count', 'tools_count', 'workflows_count'], [
            'user_ids' => Rules::listOf(Rules::id(), 100), 'visibility' => Rules::enum(Rules::VISIBILITY), 'template' => Rules::flag(),
        ]);
    }

    public function workflows(): Response
    {
        return $this->resource('workflows', ['trigger_count'], [
            'user_ids' => Rules::listOf(Rules::id(), 100), 'visibility' => Rules::enum(Rules::VISIBILITY), 'is_active' => Rules::flag(),
        ]);
    }

    public function threads(): Response
    {
        return $this->resource('threads', ['metadata.max_tokens', 'metadata.temperature'], [
            'agent_uuid' => Rules::uuid(), 'creator_ids' => Rules::listOf(Rules::id(), 100),
        ]);
    }

    public function messages(): Response
    {
        return $this->resource('messages', ['metadata.tokens.total', 'metadata.tokens.input', 'metadata.tokens.output'], [
            'thread_uuid' => Rules::uuid(), 'agent_uuid' => Rules::uuid(), 'role' => Rules::enum(Rules::ROLES),
        ]);
    }

    public function executions(): Response
    {
        return $this->resource('workflow_executions', ['duration_ms'], [
            'workflow_uuids' => Rules::listOf(Rules::uuid(), 100), 'status' => Rules::enum(Rules::STATUSES),
        ]);
    }

    private function resource(string $table, array $properties, array $filters): Response
    {
        $values = $this->body(Rules::metrics($properties, $filters));
        if (bug('metrics-date-range-requires-both') && !isset($values['date_from'], $values['date_to'])) {
            unset($values['date_from'], $values['date_to']);
        }
        $list = bug('message-metrics-of-all-tenants') && $table === 'messages'
            ? new ListQuery($this->database, $table, '1 = 1')
            : $this->query($table);
        if (bug('agent-metrics-of-foreign-workspace') && $table === 'agents' && isset($values['workspace_uuid'])) {
            $list = new ListQuery($this->database, $table, '1 = 1');
            $list->where($values['workspace_uuid'], 'workspace_id IN (SELECT id FROM workspaces WHERE uuid = ?)');
            unset($values['workspace_uuid']);
        }
        $this->filter($list, $table, $values);
        $sum = str_ends_with($values['calculation'], '_sum');
        $property = bug('metrics-property-ignored') ? $properties[0] : $values['property'];
        $value = $sum ? "COALESCE(SUM({$this->expression($table, $property)}), 0)" : 'COUNT(*)';
        $total = $list->select("$value AS value")[0]['value'];
        if (str_starts_with($values['calculation'], 'accumulated')) {
            return new Response(200, ['data' => [['value' => $total]], 'total' => $total]);
        }
        if (bug('series-ignores-status') && $table === 'workflow_executions') {
            $list = $this->query($table);
            $this->filter($list, $table, array_diff_key($values, ['status' => 1]));
        }
        $days = [];
        foreach ($list->select("substr(created_at, 1, 10) AS day, $value AS value", 'GROUP BY day ORDER BY day') as $row) {
            $days[$row['day']] = $row['value'];
        }
        $points = $this->series($days, $values['granularity'], $values['date_from'] ?? null, $values['date_to'] ?? null, self::MAX_POINTS);
        if (bug('series-total-truncated')) {
            $total = (int) $total;
        }
        return new Response(200, ['data' => $points, 'total' => $total]);
    }

    private function filter(ListQuery $list, string $table, array $values): void
    {
        $ofThread = fn (string $condition): string => "thread_id IN (SELECT t.id FROM threads t WHERE $condition)";
        $ofWorkflow = fn (string $condition): string => "workflow_id IN (SELECT w.id FROM workflows w WHERE $condition)";
        $ofAgent = "agent_id IN (SELECT a.id FROM agents a WHERE a.uuid = ? AND {$this->access->scope('agents', 'a')})";
        $list->where($values['workspace_uuid'] ?? null, match ($table) {
            'messages' => $ofThread($this->inWorkspace('t.workspace_id')),
            'workflow_executions' => $ofWorkflow($this->inWorkspace('w.workspace_id')),
            default => $this->inWorkspace('workspace_id'),
        });
        $list->where($values['date_from'] ?? null, 'substr(created_at, 1, 10) >= ?');
        $list->where($values['date_to'] ?? null, 'substr(created_at, 1, 10) <= ?');
        $list->whereIn($values['user_ids'] ?? $values['creator_ids'] ?? null, 'user_id IN ?');
        foreach (['visibility', 'template', 'is_active', 'role', 'status'] as $name) {
            $list->where($values[$name] ?? null, "$name = ?");
        }
        $list->where($values['agent_uuid'] ?? null, $table === 'messages' ? $ofThread("t.$ofAgent") : $ofAgent);
        $list->where($values['thread_uuid'] ?? null, $ofThread('t.uuid = ?'));
        $list->whereIn($values['workflow_uuids'] ?? null, $ofWorkflow('w.uuid IN ?'));
    }

    private function expression(string $table, string $property): string
    {
        return match ($property) {
            'usage_count' => '(SELECT COUNT(*) FROM agent_runs r WHERE r.agent_id = agents.id)',
            'threads_count' => "(SELECT COUNT(*) FROM threads t WHERE t.agent_id = agents.id AND {$this->access->scope('threads', 't')})",
            'tools_count' => '(SELECT COUNT(*) FROM agent_tools p WHERE p.agent_id = agents.id)',
            'workflows_count' => '(SELECT COUNT(*) FROM agent_workflows p JOIN workflows w ON w.id = p.workflow_id'
                . " WHERE p.agent_id = agents.id AND {$this->access->scope('workflows', 'w')})",
            'trigger_count' => '(SELECT COUNT(*) FROM workflow_executions e WHERE e.workflow_id = workflows.id)',
            'duration_ms' => 'duration_ms',
            default => "json_extract(metadata, '$." . substr($property, strlen('metadata.')) . "')",
        };
    }

    /** First day of the period that contains the day. A week starts on Monday. */
    private static function startOf(string $day, string $granularity): DateTimeImmutable
    {
        $date = new DateTimeImmutable($day, new DateTimeZone('UTC'));
        return match ($granularity) {
            'daily' => $date,
            'weekly' => $date->modify('-' . ((int) $date->format('N') - 1) . ' days'),
            'monthly' => $date->modify('first day of this month'),
        };
    }

    /**
     * One value for each period from the first to the last day, or only those with a value if there are too many.
     *
     * @param array<string, int|float> $days value by day, in order
     * @return list<array{date: string, value: int|float}>
     */
    private function series(array $days, string $granularity, ?string $from, ?string $to, int $limit): array
    {
        $values = [];
        foreach ($days as $day => $value) {
            $start = self::startOf($day, $granularity)->format('Y-m-d');
            $values[$start] = ($values[$start] ?? 0) + $value;
        }
        $first = $from ?? array_key_first($days);
        $last = $to ?? gmdate('Y-m-d');
        if ($first !== null && $first <= $last) {
            $current = self::startOf($first, $granularity);
            $end = self::startOf($last, $granularity);
            $format = 'Y-m-d';
            if (bug('month-end-overflows') && $granularity === 'monthly') {
                $current = new DateTimeImmutable($first, new DateTimeZone('UTC'));
                $end = $end->modify('last day of this month');
                $format = 'Y-m-01';
            }
            if (bug('last-period-excluded')) {
                unset($values[$end->format($format)]);
                $end = $end->modify('-1 day');
            }
            $step = ['daily' => '+1 day', 'weekly' => '+7 days', 'monthly' => '+1 month'][$granularity];
            $length = $granularity === 'monthly' ? 28 : ($granularity === 'weekly' ? 7 : 1);
            $isShort = $current->diff($end)->days / $length < $limit + 400;
            $all = [];
            while ($isShort && $current <= $end && count($all) <= $limit) {
                $all[$current->format($format)] = 0;
                $current = $current->modify($step);
            }
            if ($isShort && count($all) <= $limit && !bug('empty-periods-omitted')) {
                $values = array_merge($all, $values);
                ksort($values);
            }
        }
        return array_map(static fn (string $date, int|float $value): array => ['date' => $date, 'value' => $value], array_keys($values), $values);
    }

    public function workspace(): Response
    {
        $query = $this->request->query;
        $values = $this->parameters([
            'workspace_uuid' => Rules::uuid(), 'entity' => Rules::required(Rules::enum(['agents', 'workflows'])),
            'metric' => Rules::required(Rules::enum(['executions', 'created', 'copies', 'shares', 'avg_duration'])),
            'aggregation' => Rules::enum(['count']) + ['default' => 'count'], 'group_by' => Rules::enum(['user', 'date']),
            'granularity' => Rules::enum(['daily', 'weekly', 'monthly']) + ['default' => 'daily'],
            'order_by' => Rules::enum(['value', 'name', 'date']), 'order_dir' => Rules::enum(['asc', 'desc']),
            'limit' => Rules::integer(1, self::MAX_GROUPS) + ['default' => self::MAX_GROUPS],
            'filters[period]' => Rules::enum(self::PERIODS),
        ]);
        if (bug('workspace-metrics-cached')) {
            $key = "workspace-metrics:{$this->access->userId()}:" . json_encode($values);
            return new Response(200, ['data' => $this->cached($key, fn (): array => $this->workspaceMetric($values))]);
        }
        return new Response(200, ['data' => $this->workspaceMetric($values)]);
    }

    /** @return array<string, mixed> */
    private function workspaceMetric(array $values): array
    {
        $since = self::startOfPeriod($values['filters[period]']);
        $list = $this->events($values, $since);
        $groupBy = $values['metric'] === 'avg_duration' ? null : $values['group_by'];
        $results = match ($groupBy) {
            null => [],
            'user' => $this->byUserFigures($list, $values),
            'date' => $this->byDateFigures($list, $values, $since),
        };
        $total = $this->total($list, $values);
        $results = array_slice($results, 0, $values['limit']);
        if (bug('total-of-shown-groups') && $groupBy !== null) {
            $total = array_sum(array_column($results, 'value'));
        }
        return [
            'entity' => $values['entity'], 'metric' => $values['metric'], 'aggregation' => $values['aggregation'], 'group_by' => $groupBy,
            'granularity' => $groupBy === 'date' ? $values['granularity'] : null, 'total' => $total, 'results' => $results,
        ];
    }

    private function total(ListQuery $list, array $values): int|float
    {
        if ($values['metric'] !== 'avg_duration') {
            return $list->total();
        }
        $unit = bug('average-duration-in-seconds') ? 1000.0 : 1.0;
        return $values['entity'] === 'agents' ? 0 : $list->select("COALESCE(AVG(duration_ms), 0) / $unit AS value")[0]['value'];
    }

    /** The counted records, as a table of `created_at`, `user_id` and `duration_ms`. */
    private function events(array $values, ?string $since): ListQuery
    {
        $table = $values['entity'];
        $type = rtrim($table, 's');
        $entities = "e.workspace_id IN {$this->access->workspaceList()}";
        if (bug('deleted-workflow-keeps-executions') && $table === 'workflows') {
            $entities .= ' AND e.deleted_at IS NULL';
        }
        $source = match ($values['metric']) {
            'created' => "SELECT e.created_at, e.user_id, 0 AS duration_ms, e.workspace_id FROM $table e WHERE $entities",
            'copies' => "SELECT e.created_at, e.user_id, 0 AS duration_ms, e.workspace_id FROM $table e WHERE $entities AND e.template_id IS NOT NULL",
            'shares' => "SELECT s.created_at, e.user_id, 0 AS duration_ms, e.workspace_id FROM shares s JOIN $table e ON e.id = s.subject_id
                WHERE " . (bug('share-metric-of-all-types') ? '' : "s.subject_type = '$type' AND ") . $entities,
            default => $table === 'agents'
                ? "SELECT r.created_at, r.user_id, r.duration_ms, e.workspace_id FROM agent_runs r JOIN agents e ON e.id = r.agent_id WHERE $entities"
                : "SELECT r.created_at, e.user_id, r.duration_ms, e.workspace_id FROM workflow_executions r
                   JOIN workflows e ON e.id = r.workflow_id WHERE $entities",
        };
        $list = new ListQuery($this->database, "($source)", '1 = 1');
        $list->where($values['workspace_uuid'], $this->inWorkspace('workspace_id'));
        $list->where($since, 'created_at >= ?');
        return $list;
    }

    private function byUserFigures(ListQuery $list, array $values): array
    {
        $figures = [];
        foreach ($list->select('user_id, COUNT(*) AS value', 'GROUP BY user_id') as $row) {
            $name = $this->database->value('SELECT name FROM users WHERE id = ?', [$row['user_id']]);
            $id = $row['user_id'] === null ? null : (string) $row['user_id'];
            $figures[] = ['user_id' => $id, 'user_name' => $name, 'value' => $row['value']];
        }
        $key = $values['order_by'] === 'name' ? 'user_name' : 'value';
        return self::sorted($figures, $key, $values['order_dir'] ?? 'desc');
    }

    private function byDateFigures(ListQuery $list, array $values, ?string $since): array
    {
        $days = [];
        foreach ($list->select('substr(created_at, 1, 10) AS day, COUNT(*) AS value', 'GROUP BY day ORDER BY day') as $row) {
            $days[$row['day']] = $row['value'];
        }
        $from = $since === null ? null : substr($since, 0, 10);
        $figures = $this->series($days, $values['granularity'], $from, null, self::MAX_GROUPS);
        return self::sorted($figures, $values['order_by'] === 'value' ? 'value' : 'date', $values['order_dir'] ?? 'asc');
    }

    private static function sorted(array $figures, string $key, string $direction): array
    {
        usort($figures, static fn (array $a, array $b): int => $direction === 'asc' ? $a[$key] <=> $b[$key] : $b[$key] <=> $a[$key]);
        return $figures;
    }
}
