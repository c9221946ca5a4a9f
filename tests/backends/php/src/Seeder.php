<?php

declare(strict_types=1);

/** Fills an empty database with demo users and related records. The UUIDs are the same in each run. */
final class Seeder
{
    private int $number = 0;
    private int $hour = 24 * 60;

    public function __construct(private readonly Database $database)
    {
    }

    public function run(): void
    {
        $this->database->transaction(function (): void {
            $users = $this->users();
            $workspaces = $this->workspaces($users);
            $tools = $this->tools($users);
            $this->models();
            $this->accounts($users, $workspaces, $this->providers($users, $workspaces, $tools));
            $workflows = $this->workflows($users, $workspaces);
            $agents = $this->agents($users, $workspaces, $tools, $workflows);
            $this->shares($users, $workspaces, $agents, $workflows);
            $executions = $this->executions($workflows);
            $this->prompts($users, $workspaces);
            $this->memories($users, $workspaces, $agents);
            $this->threads($users, $workspaces, $agents, $executions);
            $this->tasks($users, $workspaces, $agents, $executions);
        });
    }

    /** A time in the past, later with each call. */
    private function time(): string
    {
        $this->hour = max(1, $this->hour - 4);
        $time = (new DateTimeImmutable('now', new DateTimeZone('UTC')))->modify("-{$this->hour} hours")->modify('-' . (400 - $this->number % 400) . ' seconds');
        return $time->format('Y-m-d\TH:i:s.u\Z');
    }

    private function insert(string $table, array $values, ?string $uuid = null): int
    {
        $this->number++;
        $time = $this->time();
        $uuid ??= sprintf('%s-%s-4%s-8%s-%s', ...$this->uuidParts(md5("$table:{$this->number}")));
        return $this->database->insert($table, ['uuid' => $uuid] + $values + ['created_at' => $time, 'updated_at' => $time]);
    }

    /** @return list<string> */
    private function uuidParts(string $hash): array
    {
        return [substr($hash, 0, 8), substr($hash, 8, 4), substr($hash, 13, 3), substr($hash, 17, 3), substr($hash, 20, 12)];
    }

    /** @return array<string, int> ids by first name */
    private function users(): array
    {
        $people = [123 => ['John', 'Doe'], 124 => ['Jane', 'Smith'], 125 => ['Noor', 'Haddad'], 126 => ['Igor', 'Petrov']];
        $password = password_hash('password', PASSWORD_BCRYPT, ['cost' => 4]);
        $ids = [];
        foreach ($people as $id => [$first, $last]) {
            $time = $this->time();
            $ids[$first] = $this->database->insert('users', [
                'id' => $id, 'name' => "$first $last", 'first_name' => $first, 'last_name' => $last,
                'email' => strtolower("$first.$last@example.com"), 'password' => $password,
                'profile_photo_url' => "https://example.com/storage/photos/user-$id.jpg", 'multiplai_id' => "multiplai_user_$id",
                'primary_workspace_id' => null, 'created_at' => $time, 'updated_at' => $time,
            ]);
        }
        return $ids;
    }

    /** @return array<string, int> */
    private function workspaces(array $users): array
    {
        $metadata = ['onboarding_step' => 75, 'sources' => ['google_search'], 'affiliate_name' => '', 'role' => 'Product Manager',
            'industry' => 'Technology', 'tools' => ['slack'], 'ai_tools' => ['agents' => [], 'prompts' => [], 'workflows' => []]];
        $rows = [
            'john' => ['My AI Workspace', 'my-ai-workspace', 'John', 'org_north', '550e8400-e29b-41d4-a716-446655440000'],
            'lab' => ['Research Lab', 'research-lab', 'John', 'org_north', null],
            'archive' => ['Archive 2024', 'archive-2024', 'John', null, null],
            'jane' => ['Smith Consulting', 'smith-consulting', 'Jane', 'org_south', null],
            'spare' => ['Smith Events', 'smith-events', 'Jane', 'org_south', null],
            'igor' => ['Petrov Studio', 'petrov-studio', 'Igor', null, null],
        ];
        $ids = [];
        foreach ($rows as $key => [$name, $slug, $owner, $organization, $uuid]) {
            $ids[$key] = $this->insert('workspaces', [
                'slug' => $slug, 'name' => $name, 'profile_photo_url' => "https://example.com/storage/workspaces/$slug.jpg",
                'multiplai_id' => "multiplai_workspace_$key", 'organization_multiplai_id' => $organization,
                'is_onboarded' => $key !== 'archive', 'metadata' => $metadata, 'user_id' => $users[$owner],
            ], $uuid);
        }
        foreach (['John' => 'john', 'Jane' => 'jane', 'Noor' => 'john', 'Igor' => 'igor'] as $user => $workspace) {
            $this->database->run('UPDATE users SET primary_workspace_id = ? WHERE id = ?', [$ids[$workspace], $users[$user]]);
        }
        foreach ([['john', 'Noor'], ['lab', 'Noor'], ['jane', 'Igor']] as [$workspace, $user]) {
            $this->database->run('INSERT INTO workspace_members VALUES (?, ?)', [$ids[$workspace], $users[$user]]);
        }
        return $ids;
    }

    private function tools(array $users): array
    {
        $ids = [];
        $names = ['Email Sender' => 'api', 'Web Search' => 'function', 'Calendar' => 'api', 'CRM Lookup' => 'mcp', 'Notifier' => 'webhook'];
        foreach ($names as $name => $type) {
            $ids[] = $this->insert('tools', [
                'name' => $name, 'description' => "Gives agents access to: $name.", 'type' => $type, 'visibility' => 'public',
                'profile_photo_url' => 'https://example.com/storage/tools/tool.png', 'profile_photo_config' => new stdClass(),
                'credits' => count($ids), 'metadata' => new stdClass(), 'pivot_account' => new stdClass(),
                'user_id' => $name === 'Notifier' ? null : $users['John'],
            ]);
        }
        return $ids;
    }

    private function models(): void
    {
        $rows = [['GPT-4', 'gpt-4', 'gpt', 8192, true], ['GPT-4 Turbo', 'gpt-4-turbo', 'gpt', 128000, true], ['Claude', 'claude', 'claude', 200000, true],
            ['Mistral Large', 'mistral-large', 'mistral', 32000, true], ['Llama 2', 'llama-2', 'llama', 4096, false]];
        foreach ($rows as [$name, $slug, $family, $window, $enabled]) {
            $this->insert('large_language_models', [
                'name' => $name, 'slug' => $slug, 'description' => "A language model of the family $family.", 'family' => $family,
                'context_window' => $window, 'max_output_tokens' => 4096, 'supports_tools' => $enabled, 'supports_vision' => $window > 100000,
                'is_enabled' => $enabled,
            ]);
        }
    }

    private function providers(array $users, array $workspaces, array $tools): array
    {
        $uuid = $this->database->value('SELECT uuid FROM tools WHERE id = ?', [$tools[0]]);
        $configuration = json_decode('{"token": {"url": "https://api.example.com", "body": {}, "params": {}, "headers": {}, "key": "", "type": "bearer"},
            "oauth2": {"url": "", "client_id": "", "client_secret": "", "redirect_url": "", "authorize_url": "", "token_url": "", "user_url": "",
            "scopes": [], "scope_separator": "space", "headers": {}, "parameters": {}},
            "basic": {"url": "", "headers": {}, "params": {}, "body": {}}}');
        $rows = [
            ['OpenAI GPT', 'openai-gpt', 'large_language_model', 'public', 'john', 'John', true, '550e8400-e29b-41d4-a716-446655440000'],
            ['Slack', 'slack', 'communication', 'workspace', 'john', 'John', true, null],
            ['Old CRM', 'old-crm', 'crm', 'private', 'john', 'John', false, null],
            ['Drive', 'drive', 'storage', 'workspace', 'john', 'Noor', true, null],
            ['Jira', 'jira', 'developer', 'workspace', 'lab', 'John', true, null],
            ['Anthropic', 'anthropic', 'large_language_model', 'public', 'jane', 'Jane', true, null],
            ['Notion', 'notion', 'productivity', 'workspace', 'jane', 'Jane', true, null],
            ['Zoom', 'zoom', 'communication', 'private', 'jane', 'Jane', false, null],
        ];
        $ids = [];
        foreach ($rows as [$name, $slug, $type, $visibility, $workspace, $owner, $enabled, $id]) {
            $ids[$slug] = $this->insert('providers', [
                'slug' => $slug, 'name' => $name, 'description' => "Connects agents to $name.", 'website' => "https://$slug.example.com",
                'profile_photo_url' => null, 'profile_photo_config' => $this->photo("\u{1F50C}"), 'authentication_strategy' => 'token',
                'authentication_config' => $configuration, 'is_enabled' => $enabled, 'type' => $type, 'visibility' => $visibility,
                'metadata' => ['tool_groups' => [['label' => 'General', 'tools' => [$uuid]]], 'is_official' => $enabled, 'is_featured' => false],
                'workspace_id' => $workspaces[$workspace], 'user_id' => $users[$owner],
            ], $id);
        }
        return $ids;
    }

    private function accounts(array $users, array $workspaces, array $providers): void
    {
        $rows = [
            ['My OpenAI Account', 'openai-gpt', 'john', 'John', 'acct-1'], ['Team Slack', 'slack', 'john', 'John', null],
            ["Noor's Drive", 'drive', 'john', 'Noor', 'acct-3'], ['Lab Jira', 'jira', 'lab', 'John', null],
            ['Claude for John', 'anthropic', 'john', 'John', null], ['Jane at OpenAI', 'openai-gpt', 'jane', 'Jane', 'acct-6'],
            ['Jane at Notion', 'notion', 'jane', 'Jane', null],
        ];
        foreach ($rows as [$name, $provider, $workspace, $owner, $account]) {
            $this->insert('accounts', [
                'provider_display_name' => $name, 'provider_account_id' => $account, 'provider_authentication_strategy' => 'token',
                'credentials' => ['key' => 'sk-demo'], 'provider_id' => $providers[$provider], 'workspace_id' => $workspaces[$workspace],
                'user_id' => $users[$owner],
            ]);
        }
    }

    private function photo(string $emoji): array
    {
        return ['emoji' => $emoji, 'background_color' => '#3B82F6', 'preference' => 'emoji'];
    }

    private function workflows(array $users, array $workspaces): array
    {
        $rows = [
            ['Customer Onboarding', 'john', 'John', true, 'workspace', '550e8400-e29b-41d4-a716-446655440000'],
            ['Daily Summary', 'john', 'John', true, 'private', null], ['Invoice Import', 'john', 'Noor', true, 'public', null],
            ['Lead Processing', 'john', 'John', false, 'workspace', null], ['Paper Digest', 'lab', 'John', true, 'workspace', null],
            ['Release Notes', 'lab', 'Noor', false, 'private', null], ['Newsletter', 'jane', 'Jane', true, 'workspace', null],
            ['Event Planner', 'jane', 'Jane', true, 'private', null], ['Old Reports', 'jane', 'Jane', false, 'workspace', null],
        ];
        $ids = [];
        foreach ($rows as $index => [$name, $workspace, $owner, $active, $visibility, $uuid]) {
            $ids[$name] = $this->insert('workflows', [
                'name' => $name, 'description' => "Automates: $name.", 'profile_photo_url' => null,
                'profile_photo_config' => $index % 2 === 0 ? null : new stdClass(), 'visibility' => $visibility, 'is_active' => $active,
                'nodes' => [['id' => 'start', 'type' => 'webhook'], ['id' => 'mail', 'type' => 'email']],
                'edges' => [['source' => 'start', 'target' => 'mail']], 'settings' => new stdClass(), 'static_data' => new stdClass(),
                'pin_data' => new stdClass(), 'is_favorite' => $index % 3 === 0, 'allow_cloning' => true, 'allow_account_usage' => false,
                'template_id' => $index === 4 ? 1 : null, 'deleted_at' => null, 'workspace_id' => $workspaces[$workspace],
                'user_id' => $users[$owner],
            ], $uuid);
        }
        return $ids;
    }

    private function agents(array $users, array $workspaces, array $tools, array $workflows): array
    {
        $rows = [
            ['Customer Support Assistant', 'john', 'John', 'public', 'Customer Onboarding', '550e8400-e29b-41d4-a716-446655440000'],
            ['Sales Coach', 'john', 'John', 'workspace', 'Lead Processing', null], ['Research Helper', 'lab', 'John', 'workspace', 'Paper Digest', null],
            ['Legal Reviewer', 'john', 'Noor', 'private', null, null], ['Travel Planner', 'john', 'John', 'workspace', 'Daily Summary', null],
            ['Recruiter', 'john', 'Noor', 'public', null, null], ['Math Tutor', 'lab', 'John', 'workspace', null, null],
            ['Event Host', 'jane', 'Jane', 'workspace', 'Event Planner', null], ['Copy Writer', 'jane', 'Jane', 'public', 'Newsletter', null],
            ['Bookkeeper', 'jane', 'Jane', 'private', null, null], ['Photo Editor', 'igor', 'Igor', 'workspace', null, null],
        ];
        $categories = ['7d3c2a10-0000-4000-8000-000000000001', '7d3c2a10-0000-4000-8000-000000000002'];
        $metadata = json_decode('{"role": "Specialist", "goal_statement": "", "backstory": "", "guardrails": "", "base_instructions": "",
            "conversation_starters": ["Hello!"], "greetings": "Welcome!", "tone_of_voice": "Friendly", "disc_personality": "dominant",
            "openai_voice": "alloy", "large_language_model": "gpt-4", "memory": true, "knowledge": true, "web_search": false}');
        $ids = [];
        foreach ($rows as $index => [$name, $workspace, $owner, $visibility, $workflow, $uuid]) {
            $id = $this->insert('agents', [
                'name' => $name, 'description' => "Helps you as: $name.", 'instruction' => "You are a $name.", 'profile_photo_url' => null,
                'profile_photo_config' => $this->photo("\u{1F916}"), 'visibility' => $visibility, 'metadata' => $metadata,
                'usage_frequency' => ['hourly', 'daily', 'weekly', 'monthly'][$index % 4], 'template' => $index % 5 === 1,
                'favorite' => $index % 3 === 0, 'category_uuids' => $index % 2 === 0 ? [$categories[$index % 4 / 2]] : [],
                'template_id' => $index % 5 === 2 ? 2 : null, 'workspace_id' => $workspaces[$workspace], 'user_id' => $users[$owner],
            ], $uuid);
            for ($tool = 0; $tool < $index % 4; $tool++) {
                $this->database->insert('agent_tools', ['agent_id' => $id, 'tool_id' => $tools[$tool]]);
            }
            if ($workflow !== null) {
                $this->database->insert('agent_workflows', ['agent_id' => $id, 'workflow_id' => $workflows[$workflow]]);
            }
            for ($run = 0; $run < $index * 2 % 7; $run++) {
                $this->number++;
                $this->database->insert('agent_runs', [
                    'uuid' => newUuid(), 'agent_id' => $id, 'user_id' => $users[$owner], 'duration_ms' => 200 + 100 * $run,
                    'created_at' => $this->time(),
                ]);
            }
            $ids[$name] = $id;
        }
        return $ids;
    }

    private function shares(array $users, array $workspaces, array $agents, array $workflows): void
    {
        $rows = [
            ['agent', $agents['Sales Coach'], 'user', $users['Jane'], 'read'],
            ['agent', $agents['Travel Planner'], 'workspace', $workspaces['jane'], 'write'],
            ['workflow', $workflows['Daily Summary'], 'user', $users['Jane'], 'read'],
            ['workflow', $workflows['Invoice Import'], 'user', $users['Jane'], 'write'],
            ['agent', $agents['Event Host'], 'user', $users['John'], 'read'],
            ['agent', $agents['Copy Writer'], 'workspace', $workspaces['john'], 'write'],
            ['workflow', $workflows['Newsletter'], 'user', $users['John'], 'read'],
        ];
        foreach ($rows as [$type, $subject, $entityType, $entity, $permission]) {
            $this->insert('shares', [
                'subject_type' => $type, 'subject_id' => $subject, 'entity_type' => $entityType, 'entity_id' => $entity, 'permission' => $permission,
            ]);
        }
    }

    private function executions(array $workflows): array
    {
        $statuses = ['completed', 'error', 'pending', 'running', 'waiting', 'stopped', 'completed'];
        $ids = [];
        $index = 0;
        foreach ($workflows as $name => $workflow) {
            for ($run = 0; $run < 2 + $workflow % 3; $run++, $index++) {
                $status = $statuses[$index % 7];
                $ended = in_array($status, ['completed', 'error', 'stopped'], true);
                $time = $this->time();
                $id = $this->insert('workflow_executions', [
                    'is_finished' => $ended, 'mode' => $run % 2 === 0 ? 'manual' : 'webhook', 'retry_of' => null, 'retry_success_id' => null,
                    'started_at' => $status === 'pending' ? null : $time, 'stopped_at' => $ended ? $time : null, 'wait_till' => null,
                    'status' => $status, 'deleted_at' => null, 'requires_human_review' => $index % 4 === 0, 'input' => new stdClass(),
                    'duration_ms' => $ended ? 500 + 250 * $index : 0, 'workflow_id' => $workflow,
                ]);
                $ids[$name][] = $id;
                if ($status !== 'pending') {
                    $this->insert('workflow_execution_data', [
                        'workflow_data' => [['status' => $status, 'output' => new stdClass(), 'started_at' => $time, 'stopped_at' => $ended ? $time : null]],
                        'metadata' => ['running_node' => 'mail', 'workflow_execution_data_id' => $id, 'execution_time' => 120, 'wait_until' => null,
                            'wait_until_timestamp' => 0, 'wait_started_at' => null, 'wait_completed_at' => null, 'loop_index' => 0,
                            'processed_count' => 1, 'error_count' => 0, 'retry_count' => 0],
                        'data' => '', 'deleted_at' => null, 'workflow_execution_id' => $id,
                    ]);
                }
                for ($approval = 0; $approval < $index % 3; $approval++) {
                    $this->insert('workflow_approvals', ['status' => $approval === 0 ? 'pending' : 'approved', 'workflow_execution_id' => $id]);
                }
            }
        }
        return $ids;
    }

    private function prompts(array $users, array $workspaces): void
    {
        $names = ['Email Writer', 'Summary', 'Translation', 'Brainstorm', 'Code Review', 'Job Posting', 'Meeting Notes', 'Sales Pitch', 'Newsletter',
            'Event Text', 'Invoice Reminder'];
        foreach ($names as $index => $name) {
            $isJane = $index >= 8;
            $this->insert('prompts', [
                'name' => $name, 'description' => "Template for: $name.", 'content' => "Write a text of the kind \"$name\" about {{topic}}.",
                'tags' => $index % 2 === 0 ? ['mail'] : ['sales', 'team'], 'profile_photo_url' => null,
                'profile_photo_config' => $this->photo("\u{1F4DD}"), 'visibility' => ['private', 'workspace', 'public'][$index % 3],
                'metadata' => ['large_language_model' => 'gpt-4', 'temperature' => 0.7], 'usage_count' => $index * 3, 'last_used_at' => null,
                'workspace_id' => $workspaces[$isJane ? 'jane' : ($index % 4 === 3 ? 'lab' : 'john')],
                'user_id' => $users[$isJane ? 'Jane' : ($index % 3 === 1 ? 'Noor' : 'John')],
            ]);
        }
    }

    private function memories(array $users, array $workspaces, array $agents): void
    {
        $rows = [
            ['Refunds take five working days.', 'text', 'Customer Support Assistant', 'john', 'John'],
            ['Opening hours: 9 to 17.', 'text', 'Customer Support Assistant', 'john', 'John'],
            ['Help page of the shop.', 'url', 'Customer Support Assistant', 'john', 'Noor'],
            ['The customer prefers short answers.', 'preference', 'Sales Coach', 'john', 'John'],
            ['Prices change in March.', 'fact', 'Sales Coach', 'john', 'Noor'],
            ['Visa rules for Norway.', 'url', 'Travel Planner', 'john', 'John'],
            ['The lab closes at 20.', 'fact', 'Research Helper', 'lab', 'John'],
            ['Shared note without an agent.', 'text', null, 'john', 'John'],
            ['The hall has 200 seats.', 'fact', 'Event Host', 'jane', 'Jane'],
            ['House style: no exclamation marks.', 'preference', 'Copy Writer', 'jane', 'Jane'],
        ];
        foreach ($rows as [$content, $type, $agent, $workspace, $owner]) {
            $this->insert('memories', [
                'content' => $content, 'type' => $type, 'source' => $type === 'url' ? 'https://example.com/help' : null,
                'agent_id' => $agent === null ? null : $agents[$agent], 'workspace_id' => $workspaces[$workspace], 'user_id' => $users[$owner],
            ]);
        }
    }

    private function threads(array $users, array $workspaces, array $agents, array $executions): void
    {
        $rows = [
            ['Late order', 'Customer Support Assistant', 'john', 'John', 'c2c8bf89-c607-4c7c-82f9-c6415a0447e9'],
            ['Return of a lamp', 'Customer Support Assistant', 'john', 'Noor', null], ['Pitch for Monday', 'Sales Coach', 'john', 'John', null],
            ['Trip to Oslo', 'Travel Planner', 'john', 'John', null], ['Ideas', null, 'john', 'Noor', null],
            ['Papers on memory', 'Research Helper', 'lab', 'John', null], ['Homework', 'Math Tutor', 'lab', 'Noor', null],
            ['Summer party', 'Event Host', 'jane', 'Jane', null], ['Slogans', 'Copy Writer', 'jane', 'Jane', null], ['Notes', null, 'jane', 'Jane', null],
        ];
        $metadata = ['model' => 'gpt-4', 'temperature' => 0.7, 'max_tokens' => 2048, 'system_prompt' => '', 'conversation_style' => 'casual'];
        foreach ($rows as $index => [$name, $agent, $workspace, $owner, $uuid]) {
            $thread = $this->insert('threads', [
                'name' => $name, 'metadata' => $metadata, 'agent_id' => $agent === null ? null : $agents[$agent], 'user_id' => $users[$owner],
                'workspace_id' => $workspaces[$workspace],
            ], $uuid);
            foreach (['user', 'assistant', 'user', 'assistant', 'system'] as $turn => $role) {
                if ($turn > 2 && $index % 2 === 1) {
                    break;
                }
                $message = $this->insert('messages', [
                    'content' => "$name: " . ['When does it arrive?', 'I will check that.', 'Thank you.', 'You are welcome.', 'Closed.'][$turn],
                    'role' => $role, 'thread_id' => $thread,
                    'metadata' => ['model' => 'gpt-4', 'temperature' => 0.7, 'tokens' => ['input' => 10 + $turn, 'output' => 5 * $turn, 'total' => 10 + 6 * $turn]],
                ]);
                if ($turn === 0 && $index % 3 === 0) {
                    $this->attachFile($message, $thread, $workspaces[$workspace]);
                }
                if ($turn === 1 && $index === 0) {
                    $this->insert('attachments', [
                        'type' => 'workflow_execution', 'message_id' => $message, 'thread_id' => $thread, 'media_id' => null,
                        'workflow_execution_id' => $executions['Customer Onboarding'][0],
                    ]);
                }
            }
        }
    }

    private function attachFile(int $message, int $thread, int $workspace): void
    {
        $media = $this->insert('media', [
            'name' => 'receipt', 'file_name' => 'receipt.pdf', 'mime_type' => 'application/pdf', 'size' => 48213,
            'url' => 'https://example.com/storage/uploads/receipt.pdf', 'workspace_id' => $workspace,
        ]);
        $this->insert('attachments', [
            'type' => 'media', 'message_id' => $message, 'thread_id' => $thread, 'media_id' => $media, 'workflow_execution_id' => null,
        ]);
    }

    private function tasks(array $users, array $workspaces, array $agents, array $executions): void
    {
        $rows = [
            ['Review the new greeting', 'agent', $agents['Customer Support Assistant'], 'john', 'John'],
            ['Check the import', 'workflow_execution', $executions['Invoice Import'][0], 'john', 'Noor'],
            ['Invite the speakers', 'agent', $agents['Event Host'], 'jane', 'Jane'],
        ];
        foreach ($rows as [$title, $type, $subject, $workspace, $owner]) {
            $this->insert('command_room_tasks', [
                'title' => $title, 'status' => 'open', 'taskable_type' => $type, 'taskable_id' => $subject,
                'workspace_id' => $workspaces[$workspace], 'user_id' => $users[$owner],
            ]);
        }
    }
}
