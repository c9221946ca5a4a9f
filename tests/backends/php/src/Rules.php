<?php

declare(strict_types=1);

/** Validation rules of the request bodies and query parameters. */
final class Rules
{
    private const MAX_ID = 9007199254740991;
    public const VISIBILITY = ['private', 'workspace', 'public'];
    public const STATUSES = ['pending', 'running', 'waiting', 'completed', 'error', 'stopped'];
    public const ROLES = ['user', 'assistant', 'system'];
    public const STRATEGIES = ['token', 'oauth2', 'basic'];
    public const PROVIDER_TYPES = ['large_language_model', 'communication', 'crm', 'developer', 'productivity', 'storage'];
    public const MEMORY_TYPES = ['text', 'url', 'fact', 'preference'];
    private const AGENT_RELATIONS = ['user', 'user.primary_workspace', 'user.primaryWorkspace', 'workspace', 'workspace.user', 'tools',
        'workflows', 'shares'];

    public static function text(int $max, int $min = 0): array
    {
        return ['type' => 'string', 'min' => $min, 'max' => $max];
    }

    public static function enum(array $values): array
    {
        return ['type' => 'string', 'enum' => $values];
    }

    public static function flag(): array
    {
        return ['type' => 'boolean'];
    }

    public static function integer(int $min, int $max): array
    {
        return ['type' => 'integer', 'min' => $min, 'max' => $max];
    }

    public static function number(float $min, float $max): array
    {
        return ['type' => 'number', 'min' => $min, 'max' => $max];
    }

    public static function formatted(string $format, int $max): array
    {
        return ['type' => 'string', 'format' => $format, 'max' => $max];
    }

    public static function uuid(): array
    {
        return self::formatted('uuid', 36);
    }

    public static function uri(): array
    {
        return self::formatted('uri', 2048);
    }

    public static function date(): array
    {
        return self::formatted('date', 10);
    }

    public static function id(): array
    {
        return self::integer(1, self::MAX_ID);
    }

    public static function listOf(array $items, int $max): array
    {
        return ['type' => 'array', 'items' => $items, 'max' => $max];
    }

    public static function object(array $fields = []): array
    {
        return ['type' => 'object', 'fields' => $fields];
    }

    public static function closed(array $fields): array
    {
        return ['type' => 'object', 'fields' => array_map(self::required(...), $fields), 'closed' => true];
    }

    public static function required(array $rule): array
    {
        return ['required' => true] + $rule;
    }

    public static function nullable(array $rule): array
    {
        return ['nullable' => true] + $rule;
    }

    private static function photo(): array
    {
        return self::closed(['emoji' => self::text(32), 'background_color' => self::text(32), 'preference' => self::text(32)]);
    }

    private static function files(): array
    {
        $file = self::object(['key' => self::required(self::text(1024, 1)), 'name' => self::required(self::text(255, 1))]);
        return self::listOf($file, 20);
    }

    // Request bodies

    public static function signIn(): array
    {
        return ['email' => self::required(self::formatted('email', 255)), 'password' => self::required(self::text(255, 1))];
    }

    public static function workspace(): array
    {
        $suggestion = self::closed(['emoji' => self::text(32), 'name' => self::text(255), 'description' => self::text(10000)]);
        $suggestions = self::listOf($suggestion, 100);
        return [
            'name' => self::text(255, 1), 'profile_photo_url' => self::uri(),
            'is_onboarded' => self::flag() + (bug('integer-accepted-as-boolean') ? ['loose' => true] : []),
            'metadata' => self::object([
                'onboarding_step' => self::integer(0, 100), 'sources' => self::listOf(self::text(255), 100),
                'affiliate_name' => self::text(255), 'role' => self::text(255), 'industry' => self::text(255),
                'tools' => self::listOf(self::text(255), 100),
                'ai_tools' => self::closed(['agents' => $suggestions, 'prompts' => $suggestions, 'workflows' => $suggestions]),
            ]),
        ];
    }

    public static function provider(): array
    {
        $all = static fn (array $fields): array => self::object(array_map(self::required(...), $fields));
        $url = self::text(2048);
        $secret = self::text(4096);
        $object = self::object();
        return [
            'name' => self::text(bug('longest-provider-name-rejected') ? 254 : 255, 1), 'slug' => self::text(255, 1),
            'description' => self::text(10000),
            'website' => self::nullable(self::uri()), 'profile_photo_url' => self::nullable(self::uri()), 'profile_photo_config' => self::photo(),
            'authentication_strategy' => self::enum(self::STRATEGIES),
            'authentication_config' => self::object([
                'token' => $all([
                    'url' => $url, 'body' => $object, 'params' => $object, 'headers' => $object, 'key' => $secret,
                    'type' => self::enum(['basic', 'bearer', 'custom']),
                ]),
                'oauth2' => $all([
                    'url' => $url, 'client_id' => self::text(1024), 'client_secret' => $secret, 'redirect_url' => $url,
                    'authorize_url' => $url, 'token_url' => $url, 'user_url' => $url, 'scopes' => self::listOf(self::text(255), 100),
                    'scope_separator' => self::enum(['space', 'comma']), 'headers' => $object, 'parameters' => $object,
                ]),
                'basic' => $all(['url' => $url, 'headers' => $object, 'params' => $object, 'body' => $object]),
            ]),
            'is_enabled' => self::flag(), 'type' => self::enum(self::PROVIDER_TYPES), 'visibility' => self::enum(self::VISIBILITY),
            'metadata' => self::object([
                'tool_groups' => self::listOf(self::closed(['label' => self::text(255), 'tools' => self::listOf(self::uuid(), 100)]), 100),
                'is_official' => self::flag(), 'is_featured' => self::flag(),
            ]),
        ];
    }

    public static function account(): array
    {
        return [
            'provider_display_name' => self::text(255, 1), 'provider_account_id' => self::nullable(self::text(255)),
            'provider_authentication_strategy' => self::enum(self::STRATEGIES), 'credentials' => self::object(),
        ];
    }

    public static function agent(): array
    {
        $long = self::text(10000);
        return [
            'name' => self::text(255, 1), 'description' => $long, 'instruction' => self::text(100000),
            'profile_photo_url' => self::nullable(self::uri()), 'profile_photo_config' => self::photo(),
            'visibility' => self::enum(self::VISIBILITY),
            'metadata' => self::object([
                'role' => $long, 'goal_statement' => $long, 'backstory' => $long, 'guardrails' => $long, 'base_instructions' => $long,
                'conversation_starters' => self::listOf(self::text(1000), 20), 'greetings' => $long, 'tone_of_voice' => $long,
                'disc_personality' => self::enum(['dominant', 'influential', 'steady', 'conscientious']),
                'openai_voice' => self::enum(['alloy', 'ash', 'ballad', 'coral', 'echo', 'fable', 'nova', 'onyx', 'sage', 'shimmer', 'verse']),
                'large_language_model' => self::text(255), 'memory' => self::flag(), 'knowledge' => self::flag(), 'web_search' => self::flag(),
            ]),
            'tool_uuids' => self::listOf(self::uuid(), 100), 'workflow_uuids' => self::listOf(self::uuid(), 100),
            'category_uuids' => self::listOf(self::uuid(), 100), 'template' => self::flag(), 'favorite' => self::flag(),
        ];
    }

    public static function workflow(): array
    {
        $node = self::object([
            'id' => self::required(self::text(255, 1)), 'type' => self::required(self::text(255, 1)), 'name' => self::text(255),
            'position' => self::object([
                'x' => self::required(self::number(-1000000, 1000000)), 'y' => self::required(self::number(-1000000, 1000000)),
            ]),
            'parameters' => self::object(),
        ]);
        $edge = self::object([
            'id' => self::text(255), 'source' => self::required(self::text(255, 1)), 'target' => self::required(self::text(255, 1)),
            'label' => self::text(255),
        ]);
        return [
            'name' => self::text(255, 1), 'description' => self::text(10000), 'profile_photo_url' => self::nullable(self::uri()),
            'profile_photo_config' => self::nullable(self::object()), 'visibility' => self::enum(self::VISIBILITY), 'is_active' => self::flag(),
            'nodes' => self::listOf(['type' => 'union', 'rules' => [self::text(1000), $node]], 1000),
            'edges' => self::listOf(['type' => 'union', 'rules' => [self::text(1000), $edge]], 5000),
            'settings' => self::object(), 'static_data' => self::object(), 'pin_data' => self::object(), 'is_favorite' => self::flag(),
            'allow_cloning' => self::flag(), 'allow_account_usage' => self::flag(),
        ];
    }

    public static function share(): array
    {
        return [
            'entity_type' => self::required(self::enum(['user', 'workspace'])),
            'entity_id' => self::required(['type' => 'union', 'rules' => [self::id(), self::uuid()]]),
            'permission' => self::enum(['read', 'write']),
        ];
    }

    public static function generate(): array
    {
        return ['prompt' => self::required(self::text(10000, 1)), 'workspace_uuid' => self::uuid()];
    }

    public static function run(): array
    {
        return ['content' => self::required(self::text(100000, 1)), 'files' => self::files()];
    }

    public static function train(): array
    {
        return ['texts' => self::listOf(self::text(100000, 1), 100), 'urls' => self::listOf(self::uri(), 100)];
    }

    public static function newExecution(): array
    {
        return [
            'workflow_uuid' => self::required(self::uuid()), 'mode' => self::text(50, 1), 'input' => self::object(),
            'requires_human_review' => self::flag(),
        ];
    }

    public static function execution(): array
    {
        $rules = [
            'mode' => self::text(50, 1), 'retry_of' => self::nullable(self::text(255)), 'retry_success_id' => self::nullable(self::text(255)),
            'wait_till' => self::nullable(self::formatted('date-time', 40)), 'requires_human_review' => self::flag(),
        ];
        if (bug('execution-status-writable')) {
            $rules['status'] = self::enum(self::STATUSES);
        }
        return $rules;
    }

    public static function prompt(): array
    {
        return [
            'name' => self::text(255, 1), 'content' => self::text(100000, bug('empty-prompt-content-accepted') ? 0 : 1),
            'description' => self::text(10000), 'tags' => self::listOf(self::text(100), 100),
            'profile_photo_url' => self::nullable(self::uri()), 'profile_photo_config' => self::photo(),
            'visibility' => self::enum(self::VISIBILITY),
            'metadata' => self::object(['large_language_model' => self::text(255), 'temperature' => self::number(0, 2)]),
        ];
    }

    public static function runPrompt(): array
    {
        return ['variables' => ['type' => 'object', 'values' => self::text(1000)]];
    }

    public static function memory(): array
    {
        return [
            'content' => self::text(100000, 1), 'type' => self::enum(self::MEMORY_TYPES), 'source' => self::nullable(self::text(2048)),
        ];
    }

    public static function thread(): array
    {
        return [
            'name' => self::text(255, 1), 'agent_uuid' => self::nullable(self::uuid()),
            'metadata' => self::object(bug('thread-metadata-not-validated') ? [] : [
                'model' => self::text(255), 'temperature' => self::number(0, 2),
                'max_tokens' => self::integer(1, 100000000) + (bug('thread-max-tokens-as-text') ? ['numeric' => true] : []),
                'system_prompt' => self::text(100000),
                'conversation_style' => self::enum(['casual', 'friendly', 'professional', 'formal', 'technical']),
            ]),
        ];
    }

    public static function newMessage(): array
    {
        return [
            'thread_uuid' => self::required(self::uuid()), 'content' => self::required(self::text(100000, 1)),
            'role' => bug('message-role-not-validated') ? self::text(255) : self::enum(self::ROLES), 'files' => self::files(),
        ];
    }

    public static function message(): array
    {
        $content = self::text(100000, 1);
        return [
            'content' => bug('null-message-content-accepted') ? self::nullable($content) : $content, 'role' => self::enum(self::ROLES),
        ];
    }

    public static function task(): array
    {
        return [
            'taskable_type' => self::required(self::enum(['agent', 'workflow_execution', ...(bug('task-of-workflow-rejected') ? [] : ['workflow'])])),
            'taskable_uuid' => self::required(self::uuid()), 'title' => self::required(self::text(bug('task-title-truncated') ? 65535 : 255, 1)),
            'workspace_uuid' => self::uuid(),
        ];
    }

    public static function metrics(array $properties, array $filters): array
    {
        return [
            'calculation' => self::required(self::enum(['accumulated_count', 'accumulated_sum', 'time_series_count', 'time_series_sum'])),
            'property' => self::enum($properties) + ['default' => $properties[0]],
            'granularity' => self::enum(['daily', 'weekly', 'monthly']) + ['default' => 'daily'],
            'date_from' => self::date(), 'date_to' => self::date(), 'workspace_uuid' => self::uuid(),
        ] + $filters;
    }

    // Query parameters

    /** @param list<string> $sorts names of the fields to sort by */
    public static function page(array $sorts, array $relations = []): array
    {
        $rules = [
            'page' => self::integer(1, 2147483647) + ['default' => 1], 'per_page' => self::integer(1, 100) + ['default' => 20],
            'search' => self::text(255), 'sort_by' => self::enum($sorts), 'sort_direction' => self::enum(['asc', 'desc']),
        ];
        if (bug('page-zero-accepted')) {
            $rules['page']['min'] = 0;
        }
        if (bug('per-page-clamped')) {
            $rules['per_page']['max'] = PHP_INT_MAX;
        }
        return $relations === [] ? $rules : $rules + self::with($relations);
    }

    public static function with(array $relations): array
    {
        return ['with' => ['separator' => ','] + self::listOf(self::enum($relations), 20)];
    }

    public static function agentRelations(): array
    {
        return self::with(self::AGENT_RELATIONS);
    }

    public static function executionRelations(): array
    {
        return self::with(['workflow', 'workflow_execution_data', 'workflowExecutionData']);
    }

    public static function threadRelations(): array
    {
        return self::with(['creator', 'creator.primary_workspace', 'creator.primaryWorkspace', 'agent', 'agent.user', 'agent.workspace',
            'agent.tools', 'agent.workflows', 'agent.shares', 'attachments']);
    }

    public static function messageRelations(): array
    {
        return self::with(['thread', 'thread.creator', 'thread.creator.primary_workspace', 'thread.creator.primaryWorkspace', 'thread.agent',
            'thread.agent.user', 'thread.agent.workspace', 'thread.agent.tools', 'thread.agent.workflows', 'thread.agent.shares',
            'thread.attachments', 'attachments']);
    }

    public static function providerRelations(): array
    {
        return self::with(['user', 'user.primary_workspace', 'user.primaryWorkspace']);
    }
}
