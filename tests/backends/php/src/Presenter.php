<?php

declare(strict_types=1);

/**
 * Builds response bodies from rows, with those related records that the caller may see.
 *
 * `$with` is the tree of relations to embed: `['user' => ['primary_workspace' => []]]`. Null embeds the default relations. `$path` lists
 * the records that contain this one; a relation back to one of them is an empty object.
 */
final class Presenter
{
    private const MAX_EMBEDDED = 10;

    /** @var array<string, array<string, mixed>|null> */
    private array $rows = [];
    /** Number of executions embedded so far. */
    private int $embedded = 0;

    public function __construct(private readonly Database $database, private readonly Access $access)
    {
    }

    /** Converts "agent.user" and "agent.tools" to a tree. Names are accepted in camel case. */
    public static function tree(?array $names): ?array
    {
        if ($names === null) {
            return null;
        }
        $tree = [];
        foreach ($names as $name) {
            $branch = &$tree;
            foreach (explode('.', $name) as $part) {
                $part = strtolower(preg_replace('/([a-z])([A-Z])/', '$1_$2', $part));
                $branch[$part] ??= [];
                $branch = &$branch[$part];
            }
            unset($branch);
        }
        return $tree;
    }

    private static function embeds(?array $with, string $relation, bool $default = true): bool
    {
        return $with === null ? $default : isset($with[$relation]);
    }

    private static function nested(?array $with, string $relation): ?array
    {
        return $with === null ? null : ($with[$relation] ?? []);
    }

    private function row(string $table, ?int $id): ?array
    {
        if ($id === null) {
            return null;
        }
        return $this->rows["$table:$id"] ??= $this->database->row("SELECT * FROM $table WHERE id = ?", [$id]);
    }

    /** Returns the row if the caller may see it. */
    private function visibleRow(string $table, ?int $id): ?array
    {
        if ($id === null) {
            return null;
        }
        $key = "visible:$table:$id";
        if (!array_key_exists($key, $this->rows)) {
            $this->rows[$key] = $this->database->row("SELECT * FROM $table WHERE id = ? AND {$this->access->scope($table)}", [$id]);
        }
        return $this->rows[$key];
    }

    private function count(string $table, string $condition, array $values): int
    {
        $scope = $this->access->scope($table);
        if ($table === 'threads' && bug('counts-include-hidden-threads')) {
            $scope = '1';
        }
        return $this->database->value("SELECT COUNT(*) FROM $table WHERE $condition AND $scope", $values);
    }

    private static function json(?string $text): mixed
    {
        return $text === null ? null : json_decode($text, bug('empty-objects-become-lists'));
    }

    private function isOwner(array $row): bool
    {
        return $row['user_id'] === $this->access->userId();
    }

    public function user(array $row, ?array $with = null, array $path = []): array
    {
        $key = "user:{$row['id']}";
        $body = [
            'id' => $row['id'], 'name' => $row['name'], 'first_name' => $row['first_name'], 'last_name' => $row['last_name'],
            'email' => $row['email'], 'profile_photo_url' => $row['profile_photo_url'], 'multiplai_id' => $row['multiplai_id'],
            'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'],
        ];
        if (!self::embeds($with, 'primary_workspace') || (!$this->access->sharesWorkspaceWith($row['id']) && !bug('foreign-workspace-embedded'))) {
            return $body;
        }
        $workspace = bug('foreign-workspace-embedded')
            ? $this->row('workspaces', $row['primary_workspace_id'])
            : $this->visibleRow('workspaces', $row['primary_workspace_id']);
        $isParent = $workspace !== null && in_array("workspace:{$workspace['id']}", $path, true);
        $body['primary_workspace'] = $workspace === null || $isParent
            ? new stdClass()
            : $this->workspace($workspace, self::nested($with, 'primary_workspace'), [...$path, $key]);
        return $body;
    }

    public function workspace(array $row, ?array $with = null, array $path = []): array
    {
        $key = "workspace:{$row['id']}";
        $body = [
            'uuid' => $row['uuid'], 'slug' => $row['slug'], 'name' => $row['name'], 'profile_photo_url' => $row['profile_photo_url'],
            'multiplai_id' => $row['multiplai_id'], 'is_onboarded' => (bool) $row['is_onboarded'], 'metadata' => self::json($row['metadata']),
            'is_owner' => $this->isOwner($row), 'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'],
        ];
        if (self::embeds($with, 'user')) {
            $body['user'] = in_array("user:{$row['user_id']}", $path, true)
                ? new stdClass()
                : $this->user($this->row('users', $row['user_id']), self::nested($with, 'user'), [...$path, $key]);
        }
        return $body;
    }

    public function provider(array $row, ?array $with = null): array
    {
        $body = [
            'uuid' => $row['uuid'], 'slug' => $row['slug'], 'name' => $row['name'], 'description' => $row['description'],
            'website' => $row['website'], 'profile_photo_url' => $row['profile_photo_url'],
            'profile_photo_config' => self::json($row['profile_photo_config']), 'authentication_strategy' => $row['authentication_strategy'],
            'authentication_config' => self::json($row['authentication_config']), 'is_enabled' => (bool) $row['is_enabled'],
            'type' => $row['type'], 'is_owner' => $this->isOwner($row), 'visibility' => $row['visibility'],
            'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'], 'metadata' => self::json($row['metadata']),
        ];
        if (self::embeds($with, 'user')) {
            $owner = bug('provider-user-is-caller') ? $this->access->userId() : $row['user_id'];
            $body['user'] = $this->user($this->row('users', $owner), self::nested($with, 'user'));
        }
        return $body;
    }

    public function account(array $row, ?array $with = null): array
    {
        $body = [
            'uuid' => $row['uuid'], 'provider_display_name' => $row['provider_display_name'], 'created_at' => $row['created_at'],
            'updated_at' => $row['updated_at'], 'provider_account_id' => $row['provider_account_id'],
            'provider_authentication_strategy' => $row['provider_authentication_strategy'],
        ];
        if (bug('credentials-returned')) {
            $body['credentials'] = self::json($row['credentials']);
        }
        $provider = self::embeds($with, 'provider') ? $this->visibleRow('providers', $row['provider_id']) : null;
        if ($provider !== null) {
            $body['provider'] = $this->provider($provider, self::nested($with, 'provider'));
        }
        return $body;
    }

    /** `$extra`: names of `metrics` and `command_room_task`, if requested. */
    public function agent(array $row, ?array $with = null, array $extra = []): array
    {
        $id = $row['id'];
        $workflows = "id IN (SELECT workflow_id FROM agent_workflows WHERE agent_id = ?)";
        $runs = $this->count('agent_runs', 'agent_id = ?', [$id]);
        $threads = $this->count('threads', 'agent_id = ?', [$id]);
        if (bug('threads-count-not-decremented')) {
            $threads += $this->database->value("SELECT COUNT(*) FROM cache WHERE key LIKE 'deleted-thread:%' AND value = ?", [(string) $id]);
        }
        $body = [
            'uuid' => $row['uuid'], 'name' => $row['name'], 'description' => $row['description'], 'instruction' => $row['instruction'],
            'profile_photo_url' => $row['profile_photo_url'], 'profile_photo_config' => self::json($row['profile_photo_config']),
            'visibility' => $row['visibility'], 'metadata' => self::json($row['metadata']),
            'is_owner' => bug('members-own-agents') ? $this->access->isMember($row['workspace_id']) : $this->isOwner($row),
            'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'],
            'workflows_count' => $this->count('workflows', $workflows, [$id]) + $this->deletedWorkflowCount($id),
            'tools_count' => $this->database->value('SELECT COUNT(*) FROM agent_tools WHERE agent_id = ?', [$id]),
            'threads_count' => $threads,
            'last_used_at' => $this->database->value(
                'SELECT ' . (bug('last-used-at-is-first-run') ? 'MIN' : 'MAX') . '(created_at) FROM agent_runs WHERE agent_id = ?',
                [$id]
            ),
            'usage_count' => $runs, 'usage_frequency' => $row['usage_frequency'],
        ];
        if (self::embeds($with, 'user')) {
            $body['user'] = $this->user($this->row('users', $row['user_id']), self::nested($with, 'user'));
        }
        $workspace = self::embeds($with, 'workspace') ? $this->visibleRow('workspaces', $row['workspace_id']) : null;
        if ($workspace !== null) {
            $body['workspace'] = $this->workspace($workspace, self::nested($with, 'workspace'));
            if (bug('workspace-owner-is-agent-owner') && isset($body['workspace']['user'])) {
                $body['workspace']['user'] = $this->user($this->row('users', $row['user_id']), []);
            }
        }
        if (self::embeds($with, 'tools')) {
            $body['tools'] = array_map($this->tool(...), $this->database->all(
                'SELECT t.* FROM tools t JOIN agent_tools p ON p.tool_id = t.id WHERE p.agent_id = ? ORDER BY p.id',
                [$id]
            ));
        }
        if (self::embeds($with, 'workflows')) {
            $body['workflows'] = array_map(fn (array $workflow) => $this->workflow($workflow, []), $this->database->all(
                "SELECT w.* FROM workflows w JOIN agent_workflows p ON p.workflow_id = w.id
                 WHERE p.agent_id = ? AND {$this->access->scope('workflows', 'w')} ORDER BY p.id",
                [$id]
            ));
        }
        if (self::embeds($with, 'shares')) {
            $body['shares'] = $this->shares('agent', $id, self::nested($with, 'shares'));
        }
        if (in_array('metrics', $extra, true)) {
            $joined = bug('agent-duration-multiplied-by-threads') ? 'LEFT JOIN threads t ON t.agent_id = r.agent_id' : '';
            $body['metrics'] = [
                'executions_count' => $runs,
                'total_duration_ms' => $this->database->value(
                    "SELECT COALESCE(SUM(r.duration_ms), 0) FROM agent_runs r $joined WHERE r.agent_id = ?",
                    [$id]
                ),
                'threads_count' => $threads,
                'memories_count' => $this->count('memories', 'agent_id = ?', [$id]),
                'shares_count' => $this->count('shares', "subject_type = 'agent' AND subject_id = ?", [$id]),
            ];
        }
        if (in_array('command_room_task', $extra, true)) {
            $task = $this->database->row(
                "SELECT * FROM command_room_tasks WHERE taskable_type = 'agent' AND taskable_id = ? AND {$this->access->scope('command_room_tasks')}
                 ORDER BY id DESC",
                [$id]
            );
            $body['command_room_task'] = $task === null ? null : $this->task($task);
        }
        return $body;
    }

    private function deletedWorkflowCount(int $agent): int
    {
        return bug('workflows-count-includes-deleted')
            ? $this->database->value("SELECT COUNT(*) FROM cache WHERE key LIKE 'deleted-workflow:%' AND value = ?", [(string) $agent])
            : 0;
    }

    private function shares(string $type, int $id, ?array $with): array
    {
        $rows = $this->database->all(
            "SELECT * FROM shares WHERE subject_type = ? AND subject_id = ? AND {$this->access->scope('shares')} ORDER BY id",
            [$type, $id]
        );
        return array_map(fn (array $row) => $this->share($row, $with), $rows);
    }

    public function share(array $row, ?array $with = null): array
    {
        if ($row['entity_type'] === 'user') {
            $entity = $this->user($this->row('users', $row['entity_id']), self::nested($with, 'entity'));
        } else {
            $workspace = $this->visibleRow('workspaces', $row['entity_id']);
            $entity = $workspace === null ? new stdClass() : $this->workspace($workspace, self::nested($with, 'entity'));
        }
        return ['entity_type' => $row['entity_type'], 'entity' => $entity, 'permission' => $row['permission']];
    }

    public function workflow(array $row, ?array $with = null): array
    {
        $body = [
            'uuid' => $row['uuid'], 'name' => $row['name'], 'description' => $row['description'],
            'profile_photo_url' => $row['profile_photo_url'], 'profile_photo_config' => self::json($row['profile_photo_config']),
            'visibility' => $row['visibility'], 'is_active' => (bool) $row['is_active'], 'is_owner' => $this->isOwner($row),
            'nodes' => self::json($row['nodes']), 'edges' => self::json($row['edges']), 'settings' => self::json($row['settings']),
            'static_data' => self::json($row['static_data']), 'pin_data' => self::json($row['pin_data']),
            'trigger_count' => $this->executionCount($row['id']),
            'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'], 'deleted_at' => $row['deleted_at'],
        ];
        if (self::embeds($with, 'user', false)) {
            $body['user'] = $this->user($this->row('users', $row['user_id']), self::nested($with, 'user'));
        }
        $workspace = self::embeds($with, 'workspace', false) ? $this->visibleRow('workspaces', $row['workspace_id']) : null;
        if ($workspace !== null) {
            $body['workspace'] = $this->workspace($workspace, self::nested($with, 'workspace'));
        }
        if (self::embeds($with, 'shares', false)) {
            $body['shares'] = $this->shares('workflow', $row['id'], self::nested($with, 'shares'));
        }
        if (self::embeds($with, 'executions', false)) {
            $executions = $this->database->all('SELECT * FROM workflow_executions WHERE workflow_id = ? ORDER BY id', [$row['id']]);
            $executions = array_values(array_filter($executions, static fn (array $execution) => $execution['deleted_at'] === null));
            if (bug('executions-limited-across-workflows')) {
                $executions = array_slice($executions, 0, self::MAX_EMBEDDED - $this->embedded);
                $this->embedded += count($executions);
            }
            $body['executions'] = array_map(fn (array $execution) => $this->execution($execution, []), $executions);
        }
        return $body;
    }

    private function executionCount(int $workflow, string $condition = '1'): int
    {
        if (bug('trigger-count-ignores-webhooks')) {
            $condition .= " AND mode <> 'webhook'";
        }
        return $this->database->value("SELECT COUNT(*) FROM workflow_executions WHERE workflow_id = ? AND $condition", [$workflow]);
    }

    private function workflowSummary(array $row): array
    {
        $id = $row['id'];
        return [
            'id' => $id, 'uuid' => $row['uuid'], 'user_id' => $row['user_id'], 'workspace_id' => $row['workspace_id'],
            'template_id' => $row['template_id'], 'name' => $row['name'], 'description' => $row['description'],
            'profile_photo_url' => $row['profile_photo_url'], 'profile_photo_config' => self::json($row['profile_photo_config']),
            'visibility' => $row['visibility'], 'is_active' => (bool) $row['is_active'], 'is_owner' => $this->isOwner($row),
            'is_favorite' => bug('booleans-as-integers') ? $row['is_favorite'] : (bool) $row['is_favorite'],
            'trigger_count' => $this->executionCount($id), 'allow_cloning' => (bool) $row['allow_cloning'],
            'allow_account_usage' => (bool) $row['allow_account_usage'],
            'last_used_at' => $this->database->value('SELECT MAX(created_at) FROM workflow_executions WHERE workflow_id = ?', [$id]),
            'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'], 'deleted_at' => $row['deleted_at'],
            'executions_count' => $this->executionCount($id),
            'executions_in_progress_count' => $this->executionCount($id, match (true) {
                bug('in-progress-without-pending') => "status = 'running'",
                bug('in-progress-includes-waiting') => 'is_finished = 0',
                default => "status IN ('pending', 'running')",
            }),
            'executions_for_review_count' => $this->executionCount($id, "status = 'waiting'"),
            'executions_completed_count' => $this->executionCount($id, bug('completed-count-includes-stopped') ? 'is_finished = 1' : "status = 'completed'"),
        ];
    }

    /** `$counts`: names of the counts that the request lists in `with_count`. */
    public function execution(array $row, ?array $with = null, array $counts = []): array
    {
        $body = [
            'id' => $row['id'], 'uuid' => $row['uuid'], 'is_finished' => (bool) $row['is_finished'], 'mode' => $row['mode'],
            'retry_of' => $row['retry_of'], 'retry_success_id' => $row['retry_success_id'], 'started_at' => $row['started_at'],
            'stopped_at' => $row['stopped_at'], 'wait_till' => $row['wait_till'], 'status' => $row['status'],
            'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'], 'deleted_at' => $row['deleted_at'],
        ];
        if (self::embeds($with, 'workflow')) {
            $workflow = $this->row('workflows', $row['workflow_id']);
            if (bug('execution-embeds-old-workflow-name')) {
                $workflow['name'] = $this->database->value('SELECT value FROM cache WHERE key = ?', ["workflow-name:{$row['id']}"]) ?? $workflow['name'];
            }
            $body['workflow'] = $this->workflowSummary($workflow);
        }
        if (self::embeds($with, 'workflow_execution_data')) {
            $data = $this->database->all('SELECT * FROM workflow_execution_data WHERE workflow_execution_id = ? ORDER BY id', [$row['id']]);
            $body['workflow_execution_data'] = array_map($this->executionData(...), $data);
        }
        if (isset($counts['workflow_approvals'])) {
            $body['workflow_approvals_count'] = $this->approvalCount($row['id'], '1');
        }
        if (isset($counts['pending_workflow_approvals'])) {
            $pending = bug('pending-approvals-count-all') ? '1' : "status = 'pending'";
            $body['pending_workflow_approvals_count'] = $this->approvalCount($row['id'], $pending);
        }
        return $body;
    }

    private function approvalCount(int $execution, string $condition): int
    {
        return $this->database->value("SELECT COUNT(*) FROM workflow_approvals WHERE workflow_execution_id = ? AND $condition", [$execution]);
    }

    private function executionData(array $row): array
    {
        return [
            'uuid' => $row['uuid'], 'workflow_data' => self::json($row['workflow_data']), 'metadata' => self::json($row['metadata']),
            'data' => $row['data'], 'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'], 'deleted_at' => $row['deleted_at'],
        ];
    }

    public function prompt(array $row, ?array $with = null): array
    {
        $body = [
            'uuid' => $row['uuid'], 'name' => $row['name'], 'description' => $row['description'], 'content' => $row['content'],
            'tags' => self::json($row['tags']), 'profile_photo_url' => $row['profile_photo_url'],
            'profile_photo_config' => self::json($row['profile_photo_config']), 'visibility' => $row['visibility'],
            'metadata' => self::json($row['metadata']), 'is_owner' => $this->isOwner($row), 'usage_count' => $row['usage_count'],
            'last_used_at' => $row['last_used_at'], 'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'],
        ];
        if ($row['last_used_at'] !== null && bug('last-used-at-without-zone')) {
            $body['last_used_at'] = strtr(substr($row['last_used_at'], 0, 19), 'T', ' ');
        }
        if (self::embeds($with, 'user')) {
            $body['user'] = $this->user($this->row('users', $row['user_id']), self::nested($with, 'user'));
        }
        if (self::embeds($with, 'workspace')) {
            $body['workspace'] = $this->workspace($this->row('workspaces', $row['workspace_id']), self::nested($with, 'workspace'));
        }
        return $body;
    }

    public function memory(array $row, ?array $with = null): array
    {
        $body = [
            'uuid' => $row['uuid'], 'content' => $row['content'], 'type' => $row['type'], 'source' => $row['source'],
            'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'],
        ];
        if (self::embeds($with, 'agent', false)) {
            $agent = $this->visibleRow('agents', $row['agent_id']);
            $body['agent'] = $agent === null ? null : $this->agent($agent, self::nested($with, 'agent'));
        }
        if (self::embeds($with, 'user', false)) {
            $body['user'] = $this->user($this->row('users', $row['user_id']), self::nested($with, 'user'));
        }
        return $body;
    }

    public function thread(array $row, ?array $with = null): array
    {
        $body = [
            'uuid' => $row['uuid'], 'name' => $row['name'], 'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'],
            'metadata' => self::json($row['metadata']),
        ];
        if (self::embeds($with, 'creator')) {
            $body['creator'] = $this->user($this->row('users', $row['user_id']), self::nested($with, 'creator'));
        }
        if (self::embeds($with, 'agent')) {
            $agent = $this->visibleRow('agents', $row['agent_id']);
            $body['agent'] = $agent === null ? null : $this->agent($agent, self::nested($with, 'agent'));
        }
        if (self::embeds($with, 'attachments')) {
            $body['attachments'] = $this->attachments('thread_id', $row['id'], self::nested($with, 'attachments'));
        }
        return $body;
    }

    private function attachments(string $column, int $id, ?array $with): array
    {
        $bodies = [];
        foreach ($this->database->all("SELECT * FROM attachments WHERE $column = ? ORDER BY id", [$id]) as $row) {
            $body = [
                'uuid' => $row['uuid'], 'type' => $row['type'], 'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'],
            ];
            $execution = $this->visibleRow('workflow_executions', $row['workflow_execution_id']);
            $media = $this->visibleRow('media', $row['media_id']);
            if ($execution !== null) {
                $bodies[] = $body + ['attachable' => $this->execution($execution, self::nested($with, 'attachable'))];
            } elseif ($media !== null) {
                $bodies[] = $body + ['attachable' => $this->media($media)];
            }
        }
        return $bodies;
    }

    private function media(array $row): array
    {
        return [
            'uuid' => $row['uuid'], 'name' => $row['name'], 'file_name' => $row['file_name'], 'mime_type' => $row['mime_type'],
            'size' => $row['size'], 'url' => $row['url'], 'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'],
        ];
    }

    private function tool(array $row): array
    {
        return [
            'uuid' => $row['uuid'], 'name' => $row['name'], 'description' => $row['description'], 'type' => $row['type'],
            'profile_photo_url' => $row['profile_photo_url'], 'profile_photo_config' => self::json($row['profile_photo_config']),
            'visibility' => $row['visibility'], 'credits' => $row['credits'], 'is_owner' => $this->isOwner($row),
            'metadata' => self::json($row['metadata']), 'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'],
            'pivot_account' => self::json($row['pivot_account']),
        ];
    }

    public function message(array $row, ?array $with = null): array
    {
        $content = bug('content-html-escaped') ? htmlspecialchars($row['content']) : $row['content'];
        $body = [
            'uuid' => $row['uuid'], 'content' => $content, 'role' => $row['role'], 'created_at' => $row['created_at'],
            'updated_at' => $row['updated_at'], 'metadata' => self::json($row['metadata']),
        ];
        if (bug('temperature-as-text')) {
            $body['metadata']->temperature = number_format($body['metadata']->temperature, 2);
        }
        if (self::embeds($with, 'thread')) {
            $body['thread'] = $this->thread($this->row('threads', $row['thread_id']), self::nested($with, 'thread'));
        }
        if (self::embeds($with, 'attachments')) {
            $body['attachments'] = bug('message-shows-attachments-of-thread')
                ? $this->attachments('thread_id', $row['thread_id'], self::nested($with, 'attachments'))
                : $this->attachments('message_id', $row['id'], self::nested($with, 'attachments'));
        }
        return $body;
    }

    public function model(array $row): array
    {
        return [
            'uuid' => $row['uuid'], 'name' => $row['name'], 'slug' => $row['slug'], 'description' => $row['description'],
            'family' => $row['family'], 'context_window' => $row['context_window'], 'max_output_tokens' => $row['max_output_tokens'],
            'supports_tools' => bug('model-flags-as-integers') ? $row['supports_tools'] : (bool) $row['supports_tools'],
            'supports_vision' => bug('model-flags-as-integers') ? $row['supports_vision'] : (bool) $row['supports_vision'],
            'is_enabled' => (bool) $row['is_enabled'], 'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'],
        ];
    }

    public function task(array $row): array
    {
        return [
            'uuid' => $row['uuid'], 'title' => $row['title'], 'status' => $row['status'], 'taskable_type' => $row['taskable_type'],
            'created_at' => $row['created_at'], 'updated_at' => $row['updated_at'],
        ];
    }
}
