<?php

declare(strict_types=1);

/** Decides which records the caller may see and change. */
final class Access
{
    private const NAMES = [
        'workspaces' => 'Workspace', 'providers' => 'Provider', 'accounts' => 'Account', 'agents' => 'Agent', 'workflows' => 'Workflow',
        'workflow_executions' => 'WorkflowExecution', 'prompts' => 'Prompt', 'memories' => 'Memory', 'threads' => 'Thread',
        'messages' => 'Message', 'large_language_models' => 'LargeLanguageModel', 'command_room_tasks' => 'CommandRoomTask',
        'tools' => 'Tool', 'users' => 'User',
    ];

    /** @var list<int> */
    private array $workspaces;

    /** @param array<string, mixed> $user row of the caller */
    public function __construct(private readonly Database $database, public readonly array $user)
    {
        $this->workspaces = $database->column(
            'SELECT id FROM workspaces WHERE user_id = ? UNION SELECT workspace_id FROM workspace_members WHERE user_id = ?',
            [$user['id'], $user['id']]
        );
    }

    public function userId(): int
    {
        return $this->user['id'];
    }

    public function isMember(int $workspace): bool
    {
        return in_array($workspace, $this->workspaces, true);
    }

    /** Ids of the caller's workspaces, as a list in SQL. */
    public function workspaceList(): string
    {
        return '(' . implode(', ', $this->workspaces ?: [0]) . ')';
    }

    /** Condition in SQL for the rows of a table that the caller may see. */
    public function scope(string $table, string $alias = ''): string
    {
        $alias = $alias === '' ? $table : $alias;
        $mine = "$alias.workspace_id IN {$this->workspaceList()}";
        return match ($table) {
            'workspaces' => "$alias.id IN {$this->workspaceList()}",
            'providers' => "($mine OR $alias.visibility = 'public')",
            'agents' => "($mine OR $alias.id IN ({$this->sharedIds('agent')})"
                . (bug('public-agents-visible-to-all') ? " OR $alias.visibility = 'public')" : ')'),
            'workflows' => $this->workflowScope($alias) . (bug('deleted-workflow-keeps-executions') ? " AND $alias.deleted_at IS NULL" : ''),
            'workflow_executions' => "$alias.workflow_id IN (SELECT w.id FROM workflows w WHERE "
                . (bug('executions-of-shared-workflow-hidden') ? "w.workspace_id IN {$this->workspaceList()})" : "{$this->workflowScope('w')})")
                . (bug('deleted-executions-counted') ? " AND $alias.deleted_at IS NULL" : ''),
            'workflow_approvals' => "$alias.workflow_execution_id IN (SELECT e.id FROM workflow_executions e WHERE {$this->scope('workflow_executions', 'e')})",
            'agent_runs' => "$alias.agent_id IN (SELECT a.id FROM agents a WHERE {$this->scope('agents', 'a')})",
            'messages', 'attachments' => "$alias.thread_id IN (SELECT t.id FROM threads t WHERE t.workspace_id IN {$this->workspaceList()})",
            'shares' => "(($alias.subject_type = 'agent' AND $alias.subject_id IN (SELECT id FROM agents WHERE workspace_id IN {$this->workspaceList()}))"
                . " OR ($alias.subject_type = 'workflow' AND $alias.subject_id IN (SELECT id FROM workflows WHERE workspace_id IN {$this->workspaceList()})))",
            'memories' => bug('memories-of-shared-agents-visible') ? "($mine OR $alias.agent_id IN ({$this->sharedIds('agent')}))" : $mine,
            'tools', 'large_language_models', 'users' => '1 = 1',
            default => $mine,
        };
    }

    private function workflowScope(string $alias): string
    {
        return "($alias.workspace_id IN {$this->workspaceList()} OR $alias.id IN ({$this->sharedIds('workflow')}))";
    }

    private function sharedIds(string $type): string
    {
        $toUser = "(entity_type = 'user' AND entity_id = {$this->userId()})";
        $toWorkspace = "(entity_type = 'workspace' AND entity_id IN {$this->workspaceList()})";
        if (bug('shares-to-workspace-ignored')) {
            $toWorkspace = '0';
        }
        return "SELECT subject_id FROM shares WHERE subject_type = '$type' AND ($toUser OR $toWorkspace)";
    }

    /** Returns the record if the caller may see it; null otherwise. */
    public function lookUp(string $table, string $uuid): ?array
    {
        if (bug('quote-in-path-fails') && $table === 'accounts') {
            return $this->database->row("SELECT * FROM accounts WHERE uuid = '$uuid' AND {$this->scope($table)}");
        }
        if (bug('malformed-uuid-fails') && preg_match('/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/iD', $uuid) !== 1) {
            throw new PDOException('SQLSTATE[22P02]: Invalid text representation: invalid input syntax for type uuid');
        }
        return $this->database->row("SELECT * FROM $table WHERE uuid = ? AND {$this->scope($table)}", [strtolower($uuid)]);
    }

    /** Returns the record. Raises 404 if the caller may not see it. */
    public function find(string $table, string $uuid): array
    {
        return $this->lookUp($table, $uuid) ?? throw $this->notFound($table, $uuid);
    }

    /** Returns the record, whoever may see it. Raises 404 if it does not exist. */
    public function findAny(string $table, string $uuid): array
    {
        return $this->database->row("SELECT * FROM $table WHERE uuid = ?", [strtolower($uuid)]) ?? throw $this->notFound($table, $uuid);
    }

    public function notFound(string $table, string $key): HttpError
    {
        $key = mb_scrub($key, 'UTF-8');
        return new HttpError(404, 'No query results for ' . self::NAMES[$table] . " $key.");
    }

    /** Permission on an agent or workflow: member, write or read. */
    public function permission(string $type, array $subject): string
    {
        if ($this->isMember($subject['workspace_id'])) {
            return 'member';
        }
        $permissions = $this->database->column(
            "SELECT permission FROM shares WHERE subject_type = ? AND subject_id = ?
             AND ((entity_type = 'user' AND entity_id = ?) OR (entity_type = 'workspace' AND entity_id IN {$this->workspaceList()}))",
            [$type, $subject['id'], $this->userId()]
        );
        return in_array('write', $permissions, true) ? 'write' : 'read';
    }

    /** Raises 403 if the permission is not one of the accepted ones. */
    public function require(string $type, array $subject, string ...$accepted): void
    {
        if (!in_array($this->permission($type, $subject), $accepted, true)) {
            throw self::forbidden();
        }
    }

    /** Raises 403 if the caller does not own the record. */
    public function requireOwner(array $row): void
    {
        if ($row['user_id'] !== $this->userId()) {
            throw self::forbidden();
        }
    }

    public static function forbidden(): HttpError
    {
        return new HttpError(403, 'This action is unauthorized.');
    }

    /** Whether the caller and the user have a workspace in common. */
    public function sharesWorkspaceWith(int $user): bool
    {
        return $user === $this->userId() || $this->database->value(
            "SELECT 1 FROM workspaces w WHERE w.id IN {$this->workspaceList()}
             AND (w.user_id = ? OR EXISTS (SELECT 1 FROM workspace_members m WHERE m.workspace_id = w.id AND m.user_id = ?))",
            [$user, $user]
        ) !== null;
    }
}
