<?php

declare(strict_types=1);

/** Operations that are not a list, create, retrieve, update or delete. */
final class Actions extends Controller
{
    private const MIME_TYPES = [
        'pdf' => 'application/pdf', 'png' => 'image/png', 'jpg' => 'image/jpeg', 'jpeg' => 'image/jpeg', 'gif' => 'image/gif',
        'txt' => 'text/plain', 'csv' => 'text/csv', 'json' => 'application/json', 'zip' => 'application/zip',
    ];

    /** Stands in for a language model: returns a short answer to the text. */
    public static function complete(string $text): string
    {
        return 'You wrote ' . count(self::words($text)) . ' words. Here is a summary: ' . mb_substr(trim($text), 0, 120);
    }

    /** @return array{input: int, output: int, total: int} */
    public static function tokens(string $input, string $output): array
    {
        $read = count(self::words($input));
        $written = count(self::words($output));
        return ['input' => $read, 'output' => $written, 'total' => bug('total-tokens-without-output') ? $read : $read + $written];
    }

    /** @return list<string> */
    private static function words(string $text): array
    {
        return preg_split('/\s+/u', $text, -1, PREG_SPLIT_NO_EMPTY);
    }

    /** Text of the first words, as a name. */
    private static function title(string $text, string $default): string
    {
        $title = mb_substr(implode(' ', array_slice(self::words($text), 0, 6)), 0, 100);
        return $title === '' ? $default : $title;
    }

    /** Adds a message with attachments to a thread, and returns its row. */
    public function addMessage(array $thread, string $content, string $role, array $files, ?array $tokens = null): array
    {
        if (bug('content-truncated-at-64k')) {
            $content = mb_strcut($content, 0, 65535);
        }
        $message = $this->create('messages', [
            'content' => $content, 'role' => $role, 'thread_id' => $thread['id'],
            'metadata' => ['model' => json_decode($thread['metadata'])->model, 'temperature' => json_decode($thread['metadata'])->temperature,
                'tokens' => $tokens ?? ['input' => 0, 'output' => 0, 'total' => 0]],
        ]);
        $this->attach($message, $thread, $files);
        return $message;
    }

    /** Attaches uploaded files to a message. */
    public function attach(array $message, array $thread, array $files): void
    {
        foreach (bug('only-first-file-attached') ? array_slice($files, 0, 1) : $files as $file) {
            $path = bug('file-url-not-encoded') ? $file->key : implode('/', array_map('rawurlencode', explode('/', $file->key)));
            $extension = strtolower(pathinfo($file->name, PATHINFO_EXTENSION));
            $media = $this->create('media', [
                'name' => pathinfo($file->name, PATHINFO_FILENAME), 'file_name' => $file->name,
                'mime_type' => self::MIME_TYPES[$extension] ?? 'application/octet-stream', 'size' => 0,
                'url' => mb_substr("https://example.com/storage/$path", 0, 2048), 'workspace_id' => $thread['workspace_id'],
            ]);
            $this->create('attachments', [
                'type' => 'media', 'message_id' => $message['id'], 'thread_id' => $thread['id'], 'media_id' => $media['id'],
                'workflow_execution_id' => null,
            ]);
        }
    }

    /** Stores the question and the answer in the thread. */
    private function converse(array $thread, array $values, ?array $agent): Response
    {
        $question = $this->addMessage($thread, $values['content'], 'user', $values['files'] ?? []);
        $text = self::complete($values['content']);
        $answer = $this->addMessage($thread, $text, 'assistant', [], self::tokens($values['content'], $text));
        if ($agent !== null) {
            $run = ['uuid' => newUuid(), 'agent_id' => $agent['id'], 'user_id' => $this->access->userId(), 'duration_ms' => 250, 'created_at' => now()];
            $this->database->insert('agent_runs', $run);
        }
        return new Response(200, ['data' => [
            'thread' => $this->present->thread($thread), 'message' => $this->present->message($question),
            'answer' => $this->present->message($answer),
        ]]);
    }

    public function runAgent(string $uuid): Response
    {
        $agent = $this->access->find('agents', $uuid);
        if (bug('read-share-cannot-run-agent')) {
            $this->access->require('agent', $agent, 'member', 'write');
        }
        $values = $this->body(Rules::run() + ['thread_uuid' => Rules::uuid()]);
        if (isset($values['thread_uuid'])) {
            $thread = bug('agent-runs-in-foreign-thread')
                ? $this->database->row('SELECT * FROM threads WHERE uuid = ?', [$values['thread_uuid']])
                : $this->access->lookUp('threads', $values['thread_uuid']);
            $thread ??= throw $this->access->notFound('threads', $values['thread_uuid']);
        }
        if (!isset($thread) || bug('agent-run-ignores-thread')) {
            $isMember = $this->access->isMember($agent['workspace_id']) || bug('run-of-shared-agent-hides-thread');
            $thread = $this->create('threads', [
                'name' => 'New conversation', 'metadata' => json_decode(Threads::METADATA), 'agent_id' => $agent['id'],
                'user_id' => $this->access->userId(),
                'workspace_id' => $isMember ? $agent['workspace_id'] : $this->access->user['primary_workspace_id'],
            ]);
        }
        if (bug('agent-run-drops-files')) {
            unset($values['files']);
        }
        return $this->converse($thread, $values, bug('agent-runs-not-counted') ? null : $agent);
    }

    public function runThread(string $uuid): Response
    {
        $thread = $this->access->find('threads', $uuid);
        $values = $this->body(Rules::run());
        $agent = $thread['agent_id'] === null ? null : $this->database->row('SELECT * FROM agents WHERE id = ?', [$thread['agent_id']]);
        if (bug('run-without-agent-fails')) {
            return $this->converse($thread, $values, $this->database->row('SELECT * FROM agents WHERE id = ?', [$agent['id']]));
        }
        return $this->converse($thread, $values, $agent);
    }

    public function nameThread(string $uuid): Response
    {
        $thread = $this->access->find('threads', $uuid);
        $text = $this->database->value('SELECT content FROM messages WHERE thread_id = ? ORDER BY id', [$thread['id']]);
        $name = self::title((string) $text, 'Conversation without messages');
        if (bug('generated-name-not-saved')) {
            return new Response(200, ['data' => $this->present->thread(['name' => $name, 'updated_at' => now()] + $thread)]);
        }
        return new Response(200, ['data' => $this->present->thread($this->change('threads', $thread, ['name' => $name], []))]);
    }

    public function trainAgent(string $uuid): Response
    {
        $agent = $this->access->find('agents', $uuid);
        $this->access->require('agent', $agent, 'member', 'write');
        $values = $this->body(Rules::train());
        $new = [];
        foreach ($values['texts'] ?? [] as $text) {
            $new[] = ['content' => $text, 'type' => 'text', 'source' => null];
        }
        foreach ($values['urls'] ?? [] as $url) {
            $new[] = ['content' => '', 'type' => bug('trained-urls-have-type-text') ? 'text' : 'url', 'source' => $url];
        }
        $memories = [];
        foreach ($new as $memory) {
            $memories[] = $this->create('memories', $memory + [
                'agent_id' => $agent['id'], 'workspace_id' => $agent['workspace_id'], 'user_id' => $this->access->userId(),
            ]);
        }
        return new Response(200, ['data' => array_map(fn (array $row) => $this->present->memory($row), $memories)]);
    }

    public function generateAgent(): Response
    {
        $values = $this->body(Rules::generate());
        $new = ['name' => self::title($values['prompt'], 'New agent'), 'description' => $values['prompt'], 'instruction' => $values['prompt']];
        $workspace = $this->workspaceId($values);
        if (bug('generated-agent-in-primary-workspace')) {
            $workspace = $this->access->user['primary_workspace_id'];
        }
        $row = $this->create('agents', Agents::newRow($new) + ['workspace_id' => $workspace, 'user_id' => $this->access->userId()]);
        return new Response(201, ['data' => $this->present->agent($row)]);
    }

    public function generateWorkflow(): Response
    {
        $values = $this->body(Rules::generate());
        $new = [
            'name' => self::title($values['prompt'], 'New workflow'), 'description' => $values['prompt'],
            'nodes' => [['id' => 'start', 'type' => 'trigger'], ['id' => 'answer', 'type' => 'language_model']],
            'edges' => [['source' => 'start', 'target' => 'answer']],
        ];
        $workspace = $this->workspaceId($values);
        if (bug('generated-workflow-in-primary-workspace')) {
            $workspace = $this->access->user['primary_workspace_id'];
        }
        $row = $this->create('workflows', Workflows::newRow($new) + ['workspace_id' => $workspace, 'user_id' => $this->access->userId()]);
        return new Response(201, ['data' => $this->present->workflow($row)]);
    }

    public function shareAgent(string $uuid): Response
    {
        return $this->share('agent', $this->access->find('agents', $uuid));
    }

    public function shareWorkflow(string $uuid): Response
    {
        return $this->share('workflow', $this->access->find('workflows', $uuid));
    }

    private function share(string $type, array $subject): Response
    {
        if (bug('write-share-may-share-workflow') && $type === 'workflow') {
            $this->access->require($type, $subject, 'member', 'write');
        } else {
            $this->access->require($type, $subject, 'member');
        }
        $values = $this->body(Rules::share());
        if (bug('second-share-replaces-first')) {
            $this->database->run(
                'DELETE FROM shares WHERE subject_type = ? AND subject_id = ? AND entity_type = ?',
                [$type, $subject['id'], $values['entity_type']]
            );
        }
        $recipient = $this->recipient($values['entity_type'], $values['entity_id']);
        $current = $this->database->row(
            'SELECT * FROM shares WHERE subject_type = ? AND subject_id = ? AND entity_type = ? AND entity_id = ?',
            [$type, $subject['id'], $values['entity_type'], $recipient]
        );
        if ($current !== null && bug('repeated-share-keeps-permission')) {
            return new Response(201, ['data' => $this->present->share($current)]);
        }
        $row = $this->create('shares', [
            'subject_type' => $type, 'subject_id' => $subject['id'], 'entity_type' => $values['entity_type'], 'entity_id' => $recipient,
            'permission' => $values['permission'] ?? (bug('share-writes-by-default') ? 'write' : 'read'),
        ]);
        return new Response(201, ['data' => $this->present->share($row)]);
    }

    private function recipient(string $type, int|string $key): int
    {
        if ($type === 'workspace') {
            return $this->access->find('workspaces', (string) $key)['id'];
        }
        $id = is_int($key) ? $this->database->value('SELECT id FROM users WHERE id = ?', [$key]) : null;
        return $id ?? throw $this->access->notFound('users', (string) $key);
    }

    public function leaderboard(): Response
    {
        $values = $this->parameters([
            'workspace_uuid' => Rules::uuid(), 'period' => Rules::enum(Metrics::PERIODS) + ['default' => 'all'],
            'limit' => Rules::integer(1, 100) + ['default' => 10],
        ]);
        $since = Metrics::startOfPeriod($values['period']) ?? '';
        if (bug('leaderboard-of-any-workspace') && $values['workspace_uuid'] !== null) {
            $list = new ListQuery($this->database, 'agents', '1 = 1');
            $list->where($values['workspace_uuid'], 'workspace_id IN (SELECT id FROM workspaces WHERE uuid = ?)');
        } else {
            $list = new ListQuery($this->database, 'agents', "workspace_id IN {$this->access->workspaceList()}");
            $list->where($values['workspace_uuid'], $this->inWorkspace('workspace_id'));
        }
        $suffix = bug('leaderboard-limited-before-ranking') ? "ORDER BY id LIMIT {$values['limit']}" : '';
        $entries = array_map(fn (array $agent) => $this->usage($agent, $since), $list->select('*', $suffix));
        $order = static fn (array $entry): array => [-$entry['score'], $entry['agent']['name']];
        usort($entries, static fn (array $a, array $b): int => $order($a) <=> $order($b));
        $ranked = [];
        foreach (array_slice($entries, 0, $values['limit']) as $index => $entry) {
            $ranked[] = ['rank' => $index + 1] + $entry;
        }
        return new Response(200, ['data' => $ranked]);
    }

    /** Usage of an agent since a time. */
    private function usage(array $agent, string $since): array
    {
        $id = $agent['id'];
        $count = fn (string $sql): int => $this->database->value($sql, [$id, $since]);
        $runs = $count('SELECT COUNT(*) FROM agent_runs WHERE agent_id = ? AND created_at >= ?');
        $threads = $count("SELECT COUNT(*) FROM threads WHERE agent_id = ? AND created_at >= ? AND {$this->access->scope('threads')}");
        $messages = $count(
            "SELECT COUNT(*) FROM messages m JOIN threads t ON t.id = m.thread_id
             WHERE t.agent_id = ? AND m.created_at >= ? AND {$this->access->scope('threads', 't')}"
        );
        $users = bug('users-count-not-distinct') ? 'user_id' : 'DISTINCT user_id';
        return [
            'agent' => $this->present->agent($agent, []), 'executions_count' => $runs, 'threads_count' => $threads,
            'messages_count' => $messages,
            'users_count' => $count("SELECT COUNT($users) FROM agent_runs WHERE agent_id = ? AND created_at >= ?"),
            'score' => bug('leaderboard-score-as-text')
                ? number_format(10 * $runs + 5 * $threads + $messages, 2, '.', '')
                : 10 * $runs + 5 * $threads + $messages,
        ];
    }
}
