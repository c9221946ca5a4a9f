<?php

declare(strict_types=1);

/** The authenticated user, sign-in and logout. */
final class Users extends Controller
{
    public function show(): Response
    {
        return new Response(200, ['data' => $this->present->user($this->access->user)]);
    }
}

final class Workspaces extends Controller
{
    public function index(): Response
    {
        $sorts = ['name', 'created_at', 'updated_at'];
        $rules = Rules::page($sorts, ['user']);
        if (bug('unknown-sort-of-workspaces-ignored')) {
            $rules['sort_by'] = Rules::text(255);
        }
        $values = $this->parameters($rules);
        $values['sort_by'] = in_array($values['sort_by'], $sorts, true) ? $values['sort_by'] : null;
        $list = $this->query('workspaces');
        if (bug('member-workspaces-not-listed')) {
            $list->where($this->access->userId(), 'user_id = ?');
        }
        $list->search($values['search'], ['name', 'slug']);
        $with = Presenter::tree($values['with']);
        return $this->page($list, $values, [], fn (array $row) => $this->present->workspace($row, $with));
    }

    public function show(string $uuid): Response
    {
        $row = $this->access->find('workspaces', $uuid);
        $with = $this->tree(Rules::with(['user']));
        if (bug('workspace-cached-for-all-users')) {
            $body = $this->cached("workspace:$uuid:" . json_encode($with), fn () => $this->present->workspace($row, $with));
        } else {
            $body = $this->present->workspace($row, $with);
        }
        return new Response(200, ['data' => $body]);
    }

    public function update(string $uuid): Response
    {
        $row = $this->access->find('workspaces', $uuid);
        if (!bug('members-may-update-workspace')) {
            $this->access->requireOwner($row);
        }
        $values = $this->body(Rules::workspace());
        if (bug('workspace-slug-follows-name') && isset($values['name'])) {
            $slug = self::slug($values['name']);
            $isTaken = $this->database->value('SELECT 1 FROM workspaces WHERE slug = ? AND id <> ?', [$slug, $row['id']]) !== null;
            $values['slug'] = $isTaken ? mb_substr($slug, 0, 200) . "-{$row['id']}" : $slug;
        }
        $row = $this->change('workspaces', $row, $values);
        $this->database->run('DELETE FROM cache WHERE key LIKE ?', ["workspace:$uuid:%"]);
        return new Response(200, ['data' => $this->present->workspace($row)]);
    }

    public function destroy(string $uuid): Response
    {
        $row = $this->access->find('workspaces', $uuid);
        $this->access->requireOwner($row);
        $isPrimary = $this->database->value('SELECT 1 FROM users WHERE primary_workspace_id = ?', [$row['id']]) !== null;
        if ($isPrimary && !bug('primary-workspace-delete-fails')) {
            throw new HttpError(409, 'This workspace cannot be deleted while it is the primary workspace of a user.');
        }
        $used = $this->database->value(
            'SELECT 1 FROM accounts a JOIN providers p ON p.id = a.provider_id WHERE p.workspace_id = ? AND a.workspace_id <> ?',
            [$row['id'], $row['id']]
        );
        if ($used !== null && !$isPrimary) {
            throw new HttpError(409, 'This workspace cannot be deleted while accounts of other workspaces use its providers.');
        }
        return $this->delete('workspaces', $row);
    }
}

final class Providers extends Controller
{
    private const AUTHENTICATION = '{"token": {"url": "", "body": {}, "params": {}, "headers": {}, "key": "", "type": "bearer"},
        "oauth2": {"url": "", "client_id": "", "client_secret": "", "redirect_url": "", "authorize_url": "", "token_url": "",
        "user_url": "", "scopes": [], "scope_separator": "space", "headers": {}, "parameters": {}},
        "basic": {"url": "", "headers": {}, "params": {}, "body": {}}}';
    private const METADATA = '{"tool_groups": [], "is_official": false, "is_featured": false}';

    public function index(): Response
    {
        $values = $this->parameters(Rules::page(['name', 'created_at', 'updated_at']) + Rules::providerRelations() + [
            'workspace_uuid' => Rules::uuid(), 'type' => Rules::enum(Rules::PROVIDER_TYPES), 'is_enabled' => Rules::flag(),
            'visibility' => Rules::enum(Rules::VISIBILITY),
        ]);
        $list = $this->query('providers');
        $inWorkspace = $this->inWorkspace('workspace_id');
        if (bug('workspace-filter-keeps-public-providers')) {
            $inWorkspace = "($inWorkspace OR visibility = 'public')";
        }
        $list->where($values['workspace_uuid'], $inWorkspace);
        $list->where($values['type'], 'type = ?');
        $list->where($values['is_enabled'], 'is_enabled = ?');
        $list->where($values['visibility'], 'visibility = ?');
        $list->search($values['search'], ['name', 'slug', 'description']);
        if (bug('provider-search-ignores-page-size') && $values['search'] !== null) {
            $values['per_page'] = 20;
        }
        $with = Presenter::tree($values['with']);
        return $this->page($list, $values, [], fn (array $row) => $this->present->provider($row, $with));
    }

    public function store(): Response
    {
        $rules = Rules::provider();
        $rules['name'] = Rules::required($rules['name']);
        $rules['slug'] = Rules::required($rules['slug']);
        $rules += bug('provider-owner-from-body') ? ['user_id' => Rules::id()] : [];
        $values = $this->body($rules + ['workspace_uuid' => Rules::uuid()]);
        $owner = $this->database->value('SELECT id FROM users WHERE id = ?', [$values['user_id'] ?? 0]) ?? $this->access->userId();
        $values = self::withNormalizedSlug($values);
        $this->requireUniqueSlug($values['slug'], 0);
        $row = $this->create('providers', [
            'slug' => $values['slug'], 'name' => $values['name'], 'description' => $values['description'] ?? '',
            'website' => $values['website'] ?? null, 'profile_photo_url' => $values['profile_photo_url'] ?? null,
            'profile_photo_config' => $values['profile_photo_config'] ?? self::photo("\u{1F50C}"),
            'authentication_strategy' => $values['authentication_strategy'] ?? 'token',
            'authentication_config' => self::withDefaults(self::AUTHENTICATION, $values['authentication_config'] ?? null),
            'is_enabled' => $values['is_enabled'] ?? true, 'type' => $values['type'] ?? 'large_language_model',
            'visibility' => $values['visibility'] ?? (bug('provider-private-by-default') ? 'private' : 'workspace'),
            'metadata' => self::withDefaults(self::METADATA, $values['metadata'] ?? null),
            'workspace_id' => $this->workspaceId($values), 'user_id' => $owner,
        ]);
        return new Response(201, ['data' => $this->present->provider($row)]);
    }

    private static function withNormalizedSlug(array $values): array
    {
        if (bug('provider-slug-normalized') && isset($values['slug'])) {
            $values['slug'] = self::slug($values['slug']);
        }
        return $values;
    }

    /** Slugs need not be unique unless the administrator requires it: the contract documents no response for a conflict. */
    private function requireUniqueSlug(?string $slug, int $except): void
    {
        if ($slug === null || !getenv('ATHENA_UNIQUE_SLUGS')) {
            return;
        }
        if ($this->database->value('SELECT 1 FROM providers WHERE slug = ? AND id <> ?', [$slug, $except]) !== null) {
            throw HttpError::invalid(['slug' => ['The slug has already been taken.']]);
        }
    }

    public function show(string $uuid): Response
    {
        $row = $this->access->find('providers', $uuid);
        return new Response(200, ['data' => $this->present->provider($row, $this->tree(Rules::providerRelations()))]);
    }

    public function update(string $uuid): Response
    {
        $row = $this->access->find('providers', $uuid);
        $this->access->requireOwner($row);
        $values = self::withNormalizedSlug($this->body(Rules::provider()));
        $this->requireUniqueSlug($values['slug'] ?? null, $row['id']);
        if (bug('unchanged-slug-rejected') && $this->isSlugKnown($values['slug'] ?? '')) {
            throw HttpError::invalid(['slug' => ['The slug has already been taken.']]);
        }
        $merged = bug('provider-metadata-replaced') ? ['authentication_config'] : ['metadata', 'authentication_config'];
        $row = $this->change('providers', $row, $values, $merged);
        return new Response(200, ['data' => $this->present->provider($row)]);
    }

    private function isSlugKnown(string $slug): bool
    {
        return $this->database->value('SELECT 1 FROM providers WHERE slug = ?', [$slug]) !== null;
    }

    public function destroy(string $uuid): Response
    {
        $row = $this->access->find('providers', $uuid);
        if (!bug('members-may-delete-provider') || !$this->access->isMember($row['workspace_id'])) {
            $this->access->requireOwner($row);
        }
        $counted = bug('provider-delete-checks-own-accounts') ? $this->access->scope('accounts') : '1 = 1';
        $used = $this->database->value("SELECT 1 FROM accounts WHERE provider_id = ? AND $counted", [$row['id']]) !== null;
        if ($used && !bug('provider-delete-removes-accounts')) {
            throw new HttpError(409, 'This provider cannot be deleted while an account uses it.');
        }
        return $this->delete('providers', $row);
    }
}

final class Accounts extends Controller
{
    private const RELATIONS = ['provider', 'provider.user'];

    public function index(): Response
    {
        $values = $this->parameters(Rules::page(['provider_display_name', 'created_at', 'updated_at'], self::RELATIONS) + [
            'workspace_uuid' => Rules::uuid(), 'provider_uuid' => Rules::uuid(),
        ]);
        $visible = $this->access->scope('providers', 'p');
        $list = $this->query('accounts');
        $list->where($values['workspace_uuid'], $this->inWorkspace('workspace_id'));
        if ($values['workspace_uuid'] === null || !bug('account-filters-exclude-each-other')) {
            $list->where($values['provider_uuid'], "provider_id IN (SELECT p.id FROM providers p WHERE p.uuid = ? AND $visible)");
        }
        $list->search($values['search'], [
            'provider_display_name', "(SELECT p.name FROM providers p WHERE p.id = accounts.provider_id AND $visible)",
        ]);
        $with = Presenter::tree($values['with']);
        $columns = bug('accounts-sorted-by-provider-name')
            ? ['provider_display_name' => '(SELECT p.name FROM providers p WHERE p.id = accounts.provider_id)']
            : [];
        $response = $this->page($list, $values, $columns, fn (array $row) => $this->present->account($row, $with));
        return bug('account-list-providers-by-position') ? self::withProvidersByPosition($response) : $response;
    }

    /** Replaces the providers of the page by the result of one query, without repeated providers and in the order of their creation. */
    private static function withProvidersByPosition(Response $response): Response
    {
        $accounts = $response->body['data'];
        $providers = array_values(array_column(array_column($accounts, 'provider'), null, 'uuid'));
        usort($providers, static fn (array $a, array $b): int => $a['created_at'] <=> $b['created_at']);
        foreach (array_keys($accounts) as $index) {
            unset($accounts[$index]['provider']);
            $accounts[$index] += isset($providers[$index]) ? ['provider' => $providers[$index]] : [];
        }
        return new Response(200, ['data' => $accounts] + $response->body);
    }

    public function store(): Response
    {
        $rules = Rules::account();
        $rules['provider_display_name'] = Rules::required($rules['provider_display_name']);
        $values = $this->body(['provider_uuid' => Rules::required(Rules::uuid())] + $rules + ['workspace_uuid' => Rules::uuid()]);
        $provider = bug('account-of-hidden-provider')
            ? $this->access->findAny('providers', $values['provider_uuid'])
            : $this->access->find('providers', $values['provider_uuid']);
        $current = bug('second-account-replaces-first')
            ? $this->database->row('SELECT * FROM accounts WHERE provider_id = ? AND user_id = ?', [$provider['id'], $this->access->userId()])
            : null;
        if ($current !== null) {
            $row = $this->change('accounts', $current, array_diff_key($values, ['provider_uuid' => 1, 'workspace_uuid' => 1]), []);
            return new Response(201, ['data' => $this->present->account($row)]);
        }
        $row = $this->create('accounts', [
            'provider_display_name' => $values['provider_display_name'], 'provider_account_id' => $values['provider_account_id'] ?? null,
            'provider_authentication_strategy' => $values['provider_authentication_strategy'] ?? 'token',
            'credentials' => $values['credentials'] ?? new stdClass(), 'provider_id' => $provider['id'],
            'workspace_id' => $this->workspaceId($values), 'user_id' => $this->access->userId(),
        ]);
        return new Response(bug('account-created-with-200') ? 200 : 201, ['data' => $this->present->account($row)]);
    }

    public function show(string $uuid): Response
    {
        $row = $this->access->find('accounts', $uuid);
        $with = $this->tree(Rules::with(self::RELATIONS));
        $body = $this->present->account($row, $with);
        if (isset($body['provider']) && bug('provider-of-account-cached')) {
            $key = "provider-of-account:{$this->access->userId()}:{$row['provider_id']}:" . json_encode($with);
            $body['provider'] = $this->cached($key, static fn (): array => $body['provider']);
        }
        return new Response(200, ['data' => $body]);
    }

    public function update(string $uuid): Response
    {
        $row = $this->access->find('accounts', $uuid);
        if (!bug('members-may-update-accounts')) {
            $this->access->requireOwner($row);
        }
        $movable = bug('account-update-changes-provider') ? ['provider_uuid' => Rules::uuid()] : [];
        $values = $this->body(Rules::account() + $movable);
        if (isset($values['provider_uuid'])) {
            $values['provider_id'] = $this->access->find('providers', $values['provider_uuid'])['id'];
        }
        unset($values['provider_uuid']);
        $unsaved = bug('account-id-at-provider-not-saved') ? array_intersect_key($values, ['provider_account_id' => 1]) : [];
        $row = $unsaved + $this->change('accounts', $row, array_diff_key($values, $unsaved), []);
        return new Response(200, ['data' => $this->present->account($row)]);
    }

    public function destroy(string $uuid): Response
    {
        $row = $this->access->find('accounts', $uuid);
        $this->access->requireOwner($row);
        $response = $this->delete('accounts', $row);
        if (bug('account-delete-removes-provider')) {
            $this->database->run(
                'DELETE FROM providers WHERE id = ? AND user_id = ? AND id NOT IN (SELECT provider_id FROM accounts)',
                [$row['provider_id'], $row['user_id']]
            );
        }
        return $response;
    }
}

final class Agents extends Controller
{
    public const METADATA = '{"role": "", "goal_statement": "", "backstory": "", "guardrails": "", "base_instructions": "",
        "conversation_starters": [], "greetings": "", "tone_of_voice": "", "disc_personality": "dominant", "openai_voice": "alloy",
        "large_language_model": "gpt-4", "memory": true, "knowledge": true, "web_search": false}';

    public function index(): Response
    {
        $sorts = ['name', 'visibility', 'created_at', 'updated_at', 'usage_count', 'threads_count', 'tools_count', 'workflows_count'];
        $values = $this->parameters(Rules::page($sorts) + Rules::agentRelations() + [
            'workspace_uuid' => Rules::uuid(), 'organization_multiplai_id' => Rules::text(255), 'user_id' => Rules::id(),
            'user_ids' => Rules::listOf(Rules::id(), 100), 'user_multiplai_id' => Rules::text(255),
            'user_multiplai_ids' => Rules::listOf(Rules::text(255), 100), 'visibility' => Rules::enum(Rules::VISIBILITY),
            'is_shared' => Rules::flag(), 'with_metrics' => Rules::flag(), 'with_command_room_task' => Rules::flag(),
            'category_uuids' => Rules::listOf(Rules::uuid(), 100), 'template' => Rules::flag(), 'favorite' => Rules::flag(),
        ]);
        $list = $this->query('agents');
        if ($values['is_shared'] && bug('shared-agents-repeated')) {
            $shares = $this->access->scope('shares', 's');
            $joined = "(SELECT agents.* FROM agents JOIN shares s ON s.subject_type = 'agent' AND s.subject_id = agents.id AND $shares) AS agents";
            $list = new ListQuery($this->database, $joined, $this->access->scope('agents'));
        }
        $list->where($values['workspace_uuid'], $this->inWorkspace('workspace_id'));
        if ($values['workspace_uuid'] === null) {
            $list->where($values['organization_multiplai_id'], $this->inWorkspace('workspace_id', 'organization_multiplai_id'));
        }
        $list->where($values['user_id'], 'user_id = ?');
        $userIds = bug('user-ids-last-value-only') && $values['user_ids'] !== null ? array_slice($values['user_ids'], -1) : $values['user_ids'];
        $list->whereIn($userIds, 'user_id IN ?');
        $list->where($values['user_multiplai_id'], self::byUser('user_id', 'multiplai_id'));
        $list->whereIn($values['user_multiplai_ids'], 'user_id IN (SELECT id FROM users WHERE multiplai_id IN ?)');
        $list->where($values['visibility'], 'visibility = ?');
        $list->whereIs($values['is_shared'], $this->hasShare('agent', 'agents'));
        $ofCategory = 'EXISTS (SELECT 1 FROM json_each(agents.category_uuids) WHERE value IN ?)';
        foreach (bug('category-filter-requires-all') ? array_chunk($values['category_uuids'] ?? [], 1) : [$values['category_uuids']] as $categories) {
            $list->whereIn($categories, $ofCategory);
        }
        $list->where($values['template'], 'template = ?');
        $list->where($values['favorite'], bug('favorite-filters-templates') ? 'template = ?' : 'favorite = ?');
        $list->search($values['search'], ['name', 'description']);
        $extra = array_keys(array_filter(['metrics' => $values['with_metrics'], 'command_room_task' => $values['with_command_room_task']]));
        $with = Presenter::tree($values['with']);
        $columns = [
            'usage_count' => '(SELECT COUNT(*) FROM agent_runs r WHERE r.agent_id = agents.id)',
            'threads_count' => "(SELECT COUNT(*) FROM threads t WHERE t.agent_id = agents.id AND {$this->access->scope('threads', 't')})",
            'tools_count' => '(SELECT COUNT(*) FROM agent_tools p WHERE p.agent_id = agents.id)',
            'workflows_count' => '(SELECT COUNT(*) FROM agent_workflows p JOIN workflows w ON w.id = p.workflow_id'
                . " WHERE p.agent_id = agents.id AND {$this->access->scope('workflows', 'w')})",
        ];
        return $this->page($list, $values, $columns, fn (array $row) => $this->present->agent($row, $with, $extra));
    }

    public function store(): Response
    {
        $rules = Rules::agent();
        $rules['name'] = Rules::required($rules['name']);
        $values = self::withPlainInstruction($this->body($rules + ['template_id' => Rules::nullable(Rules::id()), 'workspace_uuid' => Rules::uuid()]));
        $workspace = $this->workspaceId($values);
        $tools = $this->ids('tools', $values['tool_uuids'] ?? []);
        $workflows = $this->ids('workflows', $values['workflow_uuids'] ?? []);
        $row = $this->create('agents', self::newRow($values) + ['workspace_id' => $workspace, 'user_id' => $this->access->userId()]);
        $this->replaceLinks($row, 'agent_tools', 'tool_id', $tools);
        $this->replaceLinks($row, 'agent_workflows', 'workflow_id', $workflows);
        return new Response(201, ['data' => $this->present->agent($row)]);
    }

    private static function withPlainInstruction(array $values): array
    {
        if (bug('agent-instruction-tags-stripped') && isset($values['instruction'])) {
            $values['instruction'] = strip_tags($values['instruction']);
        }
        return $values;
    }

    /** Columns of a new agent, with defaults for the fields that the request omits. */
    public static function newRow(array $values): array
    {
        return [
            'name' => $values['name'], 'description' => $values['description'] ?? '', 'instruction' => $values['instruction'] ?? '',
            'profile_photo_url' => $values['profile_photo_url'] ?? null,
            'profile_photo_config' => $values['profile_photo_config'] ?? self::photo("\u{1F916}"),
            'visibility' => $values['visibility'] ?? 'workspace', 'metadata' => self::withDefaults(self::METADATA, $values['metadata'] ?? null),
            'usage_frequency' => 'monthly', 'template' => $values['template'] ?? false, 'favorite' => $values['favorite'] ?? false,
            'category_uuids' => $values['category_uuids'] ?? [], 'template_id' => $values['template_id'] ?? null,
        ];
    }

    /** Replaces the linked records; returns whether they differ from the current ones. */
    private function replaceLinks(array $row, string $table, string $column, array $ids): bool
    {
        $current = $this->database->column("SELECT $column FROM $table WHERE agent_id = ? ORDER BY id", [$row['id']]);
        if ($current === $ids) {
            return false;
        }
        if (bug('tools-added-instead-of-replaced') && $table === 'agent_tools') {
            $ids = array_diff($ids, $current);
        } else {
            $this->database->run("DELETE FROM $table WHERE agent_id = ?", [$row['id']]);
        }
        foreach ($ids as $id) {
            $this->database->insert($table, ['agent_id' => $row['id'], $column => $id]);
        }
        return true;
    }

    public function show(string $uuid): Response
    {
        $row = $this->access->find('agents', $uuid);
        $with = $this->tree(Rules::agentRelations());
        $build = fn (): array => $this->present->agent($row, $with);
        $key = "agent:{$row['uuid']}:{$this->access->userId()}:" . json_encode($with);
        return new Response(200, ['data' => bug('agent-cached-until-update') ? $this->cached($key, $build) : $build()]);
    }

    public function update(string $uuid): Response
    {
        $row = $this->access->find('agents', $uuid);
        $this->access->require('agent', $row, 'member', 'write');
        $rules = Rules::agent();
        if (bug('agent-name-emptied-by-update')) {
            $rules['name'] = Rules::text(255);
        }
        $values = self::withPlainInstruction($this->body($rules));
        if (bug('agent-update-partly-applied')) {
            $row = $this->change('agents', $row, array_diff_key($values, ['tool_uuids' => 1, 'workflow_uuids' => 1]));
            $this->database->commit();
        }
        $tools = isset($values['tool_uuids']) ? $this->ids('tools', $values['tool_uuids']) : null;
        $workflows = isset($values['workflow_uuids']) ? $this->ids('workflows', $values['workflow_uuids']) : null;
        unset($values['tool_uuids'], $values['workflow_uuids']);
        $linked = $tools !== null && $this->replaceLinks($row, 'agent_tools', 'tool_id', $tools);
        $linked = ($workflows !== null && $this->replaceLinks($row, 'agent_workflows', 'workflow_id', $workflows)) || $linked;
        $row = $this->change('agents', $row, $values, ['metadata'], $linked && !bug('agent-links-update-keeps-updated-at'));
        $this->database->run('DELETE FROM cache WHERE key LIKE ?', ["agent:{$row['uuid']}:%"]);
        return new Response(200, ['data' => $this->present->agent($row)]);
    }

    public function destroy(string $uuid): Response
    {
        $row = $this->access->find('agents', $uuid);
        if (bug('write-share-may-delete-agent')) {
            $this->access->require('agent', $row, 'member', 'write');
        } else {
            $this->access->require('agent', $row, 'member');
        }
        if (bug('agent-delete-removes-workflow-shares')) {
            $this->database->run('DELETE FROM shares WHERE subject_id = ?', [$row['id']]);
        }
        if (bug('agent-delete-keeps-memories')) {
            $this->database->run('UPDATE memories SET agent_id = NULL WHERE agent_id = ?', [$row['id']]);
        }
        return $this->delete('agents', $row);
    }
}

final class Workflows extends Controller
{
    private const RELATIONS = ['user', 'workspace', 'shares', 'executions'];

    public function index(): Response
    {
        $values = $this->parameters(Rules::page(['name', 'created_at', 'updated_at', 'trigger_count'], self::RELATIONS) + [
            'workspace_uuid' => Rules::uuid(), 'organization_multiplai_id' => Rules::text(255), 'user_id' => Rules::id(),
            'visibility' => Rules::enum(Rules::VISIBILITY), 'is_active' => Rules::flag(), 'is_shared' => Rules::flag(), 'favorite' => Rules::flag(),
        ]);
        $list = $this->query('workflows');
        $list->where($values['workspace_uuid'], $this->inWorkspace('workspace_id'));
        if ($values['workspace_uuid'] === null || bug('organization-filter-always-applied')) {
            $list->where($values['organization_multiplai_id'], $this->inWorkspace('workspace_id', 'organization_multiplai_id'));
        }
        $list->where($values['user_id'], 'user_id = ?');
        $list->where($values['visibility'], 'visibility = ?');
        $list->where(bug('false-filter-ignored') ? ($values['is_active'] ?: null) : $values['is_active'], 'is_active = ?');
        $list->whereIs($values['is_shared'], $this->hasShare('workflow', 'workflows'));
        $columns = bug('workflow-search-in-name-only') ? ['name'] : ['name', 'description'];
        $counted = null;
        if (bug('workflow-total-ignores-favorite')) {
            $counted = clone $list;
            $counted->search($values['search'], $columns);
        }
        $list->where($values['favorite'], 'is_favorite = ?');
        $counted = bug('workflow-total-ignores-search') ? clone $list : $counted;
        $list->search($values['search'], $columns);
        $with = Presenter::tree($values['with']);
        $columns = ['trigger_count' => '(SELECT COUNT(*) FROM workflow_executions e WHERE e.workflow_id = workflows.id)'];
        return $this->page($list, $values, $columns, fn (array $row) => $this->present->workflow($row, $with), $counted);
    }

    public function store(): Response
    {
        $rules = Rules::workflow();
        $rules['name'] = Rules::required($rules['name']);
        $values = self::withKnownNodeKeys($this->body($rules + ['template_id' => Rules::nullable(Rules::id()), 'workspace_uuid' => Rules::uuid()]));
        $row = $this->create('workflows', self::newRow($values) + [
            'workspace_id' => $this->workspaceId($values), 'user_id' => $this->access->userId(),
        ]);
        return new Response(201, ['data' => $this->present->workflow($row)]);
    }

    private static function withKnownNodeKeys(array $values): array
    {
        if (bug('node-parameters-dropped') && isset($values['nodes'])) {
            $known = ['id' => 1, 'type' => 1, 'name' => 1, 'position' => 1];
            $values['nodes'] = array_map(
                static fn (mixed $node): mixed => is_object($node) ? (object) array_intersect_key((array) $node, $known) : $node,
                $values['nodes']
            );
        }
        return $values;
    }

    private static function storedDescription(string $description): string
    {
        return bug('workflow-description-truncated') ? mb_substr($description, 0, 255) : $description;
    }

    /** Columns of a new workflow, with defaults for the fields that the request omits. */
    public static function newRow(array $values): array
    {
        $empty = new stdClass();
        return [
            'name' => $values['name'], 'description' => self::storedDescription($values['description'] ?? ''),
            'profile_photo_url' => $values['profile_photo_url'] ?? null,
            'profile_photo_config' => array_key_exists('profile_photo_config', $values) ? $values['profile_photo_config'] : $empty,
            'visibility' => $values['visibility'] ?? 'workspace', 'is_active' => $values['is_active'] ?? true,
            'nodes' => $values['nodes'] ?? [], 'edges' => $values['edges'] ?? [], 'settings' => $values['settings'] ?? $empty,
            'static_data' => $values['static_data'] ?? $empty, 'pin_data' => $values['pin_data'] ?? $empty,
            'is_favorite' => $values['is_favorite'] ?? false,
            'allow_cloning' => bug('explicit-false-replaced-by-default') ? (($values['allow_cloning'] ?? false) ?: true) : $values['allow_cloning'] ?? true,
            'allow_account_usage' => $values['allow_account_usage'] ?? false, 'template_id' => $values['template_id'] ?? null,
        ];
    }

    public function show(string $uuid): Response
    {
        $row = $this->access->find('workflows', $uuid);
        if (bug('workflow-touched-when-read')) {
            $this->database->update('workflows', $row['id'], ['updated_at' => now()]);
        }
        return new Response(200, ['data' => $this->present->workflow($row, $this->tree(Rules::with(self::RELATIONS)))]);
    }

    public function update(string $uuid): Response
    {
        $row = $this->access->find('workflows', $uuid);
        if (!bug('read-share-may-update-workflow')) {
            $this->access->require('workflow', $row, 'member', 'write');
        }
        $rules = Rules::workflow();
        if (bug('null-description-fails')) {
            $rules['description'] = Rules::nullable($rules['description']);
        }
        $values = self::withKnownNodeKeys($this->body($rules));
        if (isset($values['description'])) {
            $values['description'] = self::storedDescription($values['description']);
        }
        if (bug('workflow-update-deactivates')) {
            $values['is_active'] ??= false;
        }
        $row = $this->change('workflows', $row, $values, bug('workflow-settings-merged') ? ['settings'] : []);
        return new Response(200, ['data' => $this->present->workflow($row)]);
    }

    public function destroy(string $uuid): Response
    {
        $row = $this->access->find('workflows', $uuid);
        $this->access->require('workflow', $row, 'member');
        $isLinked = $this->database->value('SELECT 1 FROM agent_workflows WHERE workflow_id = ?', [$row['id']]) !== null;
        if ($isLinked && bug('workflow-of-agent-cannot-be-deleted')) {
            throw new HttpError(409, 'This workflow cannot be deleted while an agent uses it.');
        }
        if (bug('workflows-count-includes-deleted')) {
            $this->database->run(
                "INSERT INTO cache SELECT 'deleted-workflow:' || id, CAST(agent_id AS TEXT), 0 FROM agent_workflows WHERE workflow_id = ?",
                [$row['id']]
            );
        }
        if (bug('deleted-workflow-keeps-executions')) {
            $this->database->run("DELETE FROM shares WHERE subject_type = 'workflow' AND subject_id = ?", [$row['id']]);
            $this->database->run('DELETE FROM agent_workflows WHERE workflow_id = ?', [$row['id']]);
            return $this->softDelete('workflows', $row);
        }
        return $this->delete('workflows', $row);
    }
}

final class WorkflowExecutions extends Controller
{
    private function workflows(string $condition): string
    {
        return "workflow_id IN (SELECT w.id FROM workflows w WHERE $condition)";
    }

    public function index(): Response
    {
        $counts = ['workflow_approvals', 'workflowApprovals', 'pending_workflow_approvals', 'pendingWorkflowApprovals'];
        $values = $this->parameters(Rules::page(['created_at', 'updated_at', 'status', 'id']) + Rules::executionRelations() + [
            'with_count' => ['separator' => ','] + Rules::listOf(Rules::enum($counts), 20),
            'workspace_uuid' => Rules::uuid(), 'organization_multiplai_id' => Rules::text(255), 'user_multiplai_id' => Rules::text(255),
            'workflow_uuid' => Rules::uuid(), 'workflow_uuids' => Rules::listOf(Rules::text(255), 100), 'date_from' => Rules::date(),
            'date_to' => Rules::date(), 'status' => Rules::enum(Rules::STATUSES),
        ]);
        $list = $this->query('workflow_executions');
        $list->where($values['workspace_uuid'], $this->workflows($this->inWorkspace('w.workspace_id')));
        if ($values['workspace_uuid'] === null) {
            $list->where($values['organization_multiplai_id'], $this->workflows($this->inWorkspace('w.workspace_id', 'organization_multiplai_id')));
        }
        $list->where($values['user_multiplai_id'], $this->workflows(self::byUser('w.user_id', 'multiplai_id')));
        $list->where($values['workflow_uuid'], $this->workflows('w.uuid = ?'));
        $uuids = $values['workflow_uuids'] === null ? null : array_map('strtolower', $values['workflow_uuids']);
        $list->whereIn($uuids, $this->workflows('w.uuid IN ?'));
        if (bug('date-to-excludes-the-day')) {
            $list->where($values['date_from'], 'created_at >= ?');
            $list->where($values['date_to'], 'created_at <= ?');
        } else {
            $column = bug('date-from-uses-start-time') ? 'started_at' : 'created_at';
            $list->where($values['date_from'], "substr($column, 1, 10) >= ?");
            $list->where($values['date_to'], 'substr(created_at, 1, 10) <= ?');
        }
        if (bug('running-filter-includes-pending') && $values['status'] === 'running') {
            $list->whereIn(['pending', 'running'], 'status IN ?');
        } else {
            $list->where($values['status'], 'status = ?');
        }
        $list->search($values['search'], [
            '(SELECT w.name FROM workflows w WHERE w.id = workflow_id)', '(SELECT w.description FROM workflows w WHERE w.id = workflow_id)',
        ]);
        $names = $values['with'];
        if (bug('camel-case-relation-ignored') && $names !== null) {
            $names = array_diff($names, ['workflowExecutionData']);
        }
        $with = Presenter::tree($names);
        $counted = Presenter::tree($values['with_count']) ?? [];
        return $this->page($list, $values, [], fn (array $row) => $this->present->execution($row, $with, $counted));
    }

    public function count(): Response
    {
        $values = $this->parameters([
            'workspace_uuid' => Rules::uuid(), 'multiplai_id' => Rules::text(255), 'start_date' => Rules::date(), 'end_date' => Rules::date(),
            'status' => Rules::enum(Rules::STATUSES), 'requires_human_review' => Rules::flag(), 'has_command_room_task' => Rules::flag(),
        ]);
        $list = $this->query('workflow_executions');
        $list->where($values['workspace_uuid'], $this->workflows($this->inWorkspace('w.workspace_id')));
        if ($values['workspace_uuid'] === null) {
            $column = bug('count-multiplai-id-uses-organization') ? 'organization_multiplai_id' : 'multiplai_id';
            $list->where($values['multiplai_id'], $this->workflows($this->inWorkspace('w.workspace_id', $column)));
        }
        $day = bug('dates-in-local-time') ? "date(created_at, '+9 hours')" : 'substr(created_at, 1, 10)';
        $list->where($values['start_date'], "$day >= ?");
        $list->where($values['end_date'], "$day <= ?");
        $list->where($values['status'], 'status = ?');
        $list->where($values['requires_human_review'], 'requires_human_review = ?');
        $hasTask = bug('count-without-task-ignored') ? ($values['has_command_room_task'] ?: null) : $values['has_command_room_task'];
        $list->whereIs($hasTask, "EXISTS (SELECT 1 FROM command_room_tasks t WHERE t.taskable_type = 'workflow_execution'"
            . " AND t.taskable_id = workflow_executions.id AND {$this->access->scope('command_room_tasks', 't')})");
        if (bug('execution-counts-cached')) {
            $key = "counts:{$this->access->userId()}:" . json_encode($values);
            return new Response(200, ['data' => $this->cached($key, fn (): array => $this->countByStatus($list))]);
        }
        return new Response(200, ['data' => $this->countByStatus($list)]);
    }

    /** @return array<string, int> number of executions of each status, and `total` */
    private function countByStatus(ListQuery $list): array
    {
        $counts = array_fill_keys(Rules::STATUSES, 0);
        foreach ($list->select('status, COUNT(*) AS number', 'GROUP BY status') as $row) {
            $counts[$row['status']] = $row['number'];
        }
        $total = array_sum($counts);
        if (bug('execution-total-without-waiting')) {
            $total -= $counts['waiting'];
        }
        return ['total' => $total] + $counts;
    }

    public function store(): Response
    {
        $values = $this->body(Rules::newExecution());
        $workflow = $this->access->find('workflows', $values['workflow_uuid']);
        $this->access->require('workflow', $workflow, 'member', 'write');
        $this->requireActive($workflow);
        $row = $this->start($workflow, $values['mode'] ?? 'manual', $values['input'] ?? new stdClass(), $values['requires_human_review'] ?? false);
        return new Response(201, ['data' => $this->present->execution($row)]);
    }

    public function webhook(string $uuid): Response
    {
        $workflow = $this->access->find('workflows', $uuid);
        $this->access->require('workflow', $workflow, 'member', 'write');
        $input = $this->request->hasBody() ? $this->request->json() : new stdClass();
        if (!bug('webhook-runs-inactive-workflow')) {
            $this->requireActive($workflow);
        }
        return new Response(201, ['data' => $this->present->execution($this->start($workflow, 'webhook', $input, false))]);
    }

    private function requireActive(array $workflow): void
    {
        if (!$workflow['is_active']) {
            throw new HttpError(409, 'The workflow is not active.');
        }
    }

    private function start(array $workflow, string $mode, stdClass $input, bool $review): array
    {
        $id = bug('execution-id-reused') ? ['id' => $this->database->value('SELECT COALESCE(MAX(id), 0) + 1 FROM workflow_executions')] : [];
        $row = $this->create('workflow_executions', $id + [
            'is_finished' => false, 'mode' => $mode, 'retry_of' => null, 'retry_success_id' => null, 'started_at' => null,
            'stopped_at' => null, 'wait_till' => null, 'status' => 'pending', 'deleted_at' => null, 'requires_human_review' => $review,
            'input' => $input, 'duration_ms' => 0, 'workflow_id' => $workflow['id'],
        ]);
        if (bug('execution-embeds-old-workflow-name')) {
            $this->database->run('INSERT INTO cache VALUES (?, ?, 0)', ["workflow-name:{$row['id']}", $workflow['name']]);
        }
        return $row;
    }

    /** Returns the execution and its workflow. Raises 404, or 403 without one of the permissions. */
    private function findFor(string $uuid, string ...$permissions): array
    {
        $row = $this->access->find('workflow_executions', $uuid);
        $workflow = $this->database->row('SELECT * FROM workflows WHERE id = ?', [$row['workflow_id']]);
        $this->access->require('workflow', $workflow, ...$permissions);
        return $row;
    }

    public function show(string $uuid): Response
    {
        $row = $this->access->find('workflow_executions', $uuid);
        return new Response(200, ['data' => $this->present->execution($row, $this->tree(Rules::executionRelations()))]);
    }

    public function update(string $uuid): Response
    {
        $row = bug('patch-ignores-permission') && $this->request->method === 'PATCH'
            ? $this->access->find('workflow_executions', $uuid)
            : $this->findFor($uuid, 'member', 'write');
        $values = $this->body(Rules::execution());
        if (bug('human-review-not-stored')) {
            unset($values['requires_human_review']);
        }
        if (bug('null-ignored-in-patch') && $this->request->method === 'PATCH') {
            $values = array_filter($values, static fn (mixed $value): bool => $value !== null);
        }
        $changed = $this->change('workflow_executions', $row, $values, []);
        if (!bug('patch-returns-old-values') || $this->request->method !== 'PATCH') {
            $row = $changed;
        }
        return new Response(200, ['data' => $this->present->execution($row)]);
    }

    public function destroy(string $uuid): Response
    {
        $row = $this->findFor($uuid, 'member');
        return bug('deleted-executions-counted')
            ? $this->softDelete('workflow_executions', $row)
            : $this->delete('workflow_executions', $row);
    }

    public function stop(string $uuid): Response
    {
        $row = bug('foreign-execution-can-be-stopped')
            ? $this->access->findAny('workflow_executions', $uuid)
            : $this->findFor($uuid, 'member', 'write');
        $active = bug('waiting-execution-cannot-be-stopped') ? ['pending', 'running'] : ['pending', 'running', 'waiting'];
        if (!in_array($row['status'], $active, true) && !bug('finished-execution-can-be-stopped')) {
            throw new HttpError(409, "The execution cannot be stopped: its status is {$row['status']}.");
        }
        $now = now();
        $changes = ['status' => 'stopped', 'is_finished' => true, 'stopped_at' => $now];
        if ($row['started_at'] === null && bug('stopped-at-missing-for-pending')) {
            unset($changes['stopped_at']);
        }
        if (bug('stop-ends-all-executions-of-workflow')) {
            $this->database->run(
                "UPDATE workflow_executions SET status = 'stopped', is_finished = 1, stopped_at = ?, updated_at = ?
                 WHERE workflow_id = ? AND id <> ? AND status IN ('pending', 'running', 'waiting')",
                [$now, $now, $row['workflow_id'], $row['id']]
            );
        }
        if (bug('stop-keeps-is-finished')) {
            unset($changes['is_finished']);
        }
        if ($row['started_at'] !== null) {
            $changes['duration_ms'] = min(86400000, (int) ((strtotime($now) - strtotime($row['started_at'])) * 1000));
        }
        $row = $this->change('workflow_executions', $row, $changes, []);
        return new Response(200, ['data' => $this->present->execution($row)]);
    }
}

final class Prompts extends Controller
{
    private const RELATIONS = ['user', 'workspace'];
    private const METADATA = '{"large_language_model": "gpt-4", "temperature": 0.7}';

    public function index(): Response
    {
        $values = $this->parameters(Rules::page(['name', 'created_at', 'updated_at', 'usage_count'], self::RELATIONS) + [
            'workspace_uuid' => Rules::uuid(), 'user_id' => Rules::id(), 'visibility' => Rules::enum(Rules::VISIBILITY),
        ]);
        $list = $this->query('prompts');
        $list->where($values['workspace_uuid'], $this->inWorkspace('workspace_id'));
        $ofWorkspaceOwner = 'workspace_id IN (SELECT w.id FROM workspaces w WHERE w.user_id = ?)';
        $list->where($values['user_id'], bug('prompt-owner-filter-uses-workspace') ? $ofWorkspaceOwner : 'user_id = ?');
        $list->where($values['visibility'], 'visibility = ?');
        if (bug('private-prompts-of-others-not-listed')) {
            $list->where($this->access->userId(), "(visibility <> 'private' OR user_id = ?)");
        }
        $list->search($values['search'], ['name', 'description', 'content']);
        $with = Presenter::tree($values['with']);
        $columns = bug('usage-count-sorted-as-text') ? ['usage_count' => 'CAST(usage_count AS TEXT)'] : [];
        return $this->page($list, $values, $columns, fn (array $row) => $this->present->prompt($row, $with));
    }

    public function store(): Response
    {
        $rules = Rules::prompt();
        $rules['name'] = Rules::required($rules['name']);
        $rules['content'] = Rules::required($rules['content']);
        $values = self::withSortedTags($this->body($rules + ['workspace_uuid' => Rules::uuid()]));
        if (bug('prompt-name-unique') && $this->database->value('SELECT 1 FROM prompts WHERE name = ?', [$values['name']]) !== null) {
            throw HttpError::invalid(['name' => ['The name has already been taken.']]);
        }
        if (bug('zero-temperature-replaced-by-default') && isset($values['metadata']) && empty($values['metadata']->temperature)) {
            unset($values['metadata']->temperature);
        }
        $row = $this->create('prompts', [
            'name' => $values['name'], 'description' => $values['description'] ?? '', 'content' => $values['content'],
            'tags' => $values['tags'] ?? [], 'profile_photo_url' => $values['profile_photo_url'] ?? null,
            'profile_photo_config' => $values['profile_photo_config'] ?? self::photo("\u{1F4DD}"),
            'visibility' => $values['visibility'] ?? 'workspace',
            'metadata' => bug('prompt-metadata-without-defaults') && isset($values['metadata'])
                ? $values['metadata']
                : self::withDefaults(self::METADATA, $values['metadata'] ?? null),
            'usage_count' => 0, 'last_used_at' => null, 'workspace_id' => $this->workspaceId($values), 'user_id' => $this->access->userId(),
        ]);
        return new Response(201, ['data' => $this->present->prompt($row)]);
    }

    private static function withSortedTags(array $values): array
    {
        if (bug('prompt-tags-sorted') && isset($values['tags'])) {
            $values['tags'] = array_unique($values['tags']);
            sort($values['tags']);
        }
        return $values;
    }

    private function find(string $uuid): array
    {
        if (bug('foreign-prompt-returns-403') && $this->access->lookUp('prompts', $uuid) === null) {
            $this->access->findAny('prompts', $uuid);
            throw Access::forbidden();
        }
        return $this->access->find('prompts', $uuid);
    }

    public function show(string $uuid): Response
    {
        $row = $this->find($uuid);
        return new Response(200, ['data' => $this->present->prompt($row, $this->tree(Rules::with(self::RELATIONS)))]);
    }

    public function update(string $uuid): Response
    {
        if (bug('foreign-prompt-can-be-updated')) {
            $row = $this->database->row('SELECT * FROM prompts WHERE uuid = ?', [$uuid]) ?? throw $this->access->notFound('prompts', $uuid);
        } else {
            $row = $this->find($uuid);
        }
        $values = self::withSortedTags($this->body(Rules::prompt()));
        if (bug('temperature-rounded') && isset($values['metadata']->temperature)) {
            $values['metadata']->temperature = round($values['metadata']->temperature, 1);
        }
        if (bug('empty-prompt-description-becomes-null') && ($values['description'] ?? null) === '') {
            $values['description'] = null;
        }
        $row = $this->change('prompts', $row, $values);
        return new Response(200, ['data' => $this->present->prompt($row)]);
    }

    public function destroy(string $uuid): Response
    {
        return $this->delete('prompts', $this->find($uuid));
    }

    /** Fills in the variables and completes the text. Variables without a value keep their placeholder. */
    public function run(string $uuid): Response
    {
        $row = $this->access->find('prompts', $uuid);
        $values = $this->body(Rules::runPrompt());
        $text = $this->fillIn($row['content'], (array) ($values['variables'] ?? []));
        $model = json_decode($row['metadata'])->large_language_model;
        $output = Actions::complete($text);
        if (bug('lost-prompt-runs')) {
            usleep(250_000); // Time that the language model takes
        }
        $used = ['usage_count' => $row['usage_count'] + 1] + (bug('prompt-run-keeps-last-used-at') ? [] : ['last_used_at' => now()]);
        $this->change('prompts', $row, $used, []);
        return new Response(200, ['data' => [
            'prompt' => $text, 'output' => $output, 'model' => $model, 'tokens' => Actions::tokens($text, $output),
        ]]);
    }

    private function fillIn(string $content, array $variables): string
    {
        if (bug('variable-values-as-replacement-pattern')) {
            foreach ($variables as $name => $value) {
                $content = preg_replace('/\{\{\s*' . preg_quote((string) $name, '/') . '\s*\}\}/u', $value, $content);
            }
            return $content;
        }
        return preg_replace_callback(
            '/\{\{\s*(.*?)\s*\}\}/su',
            static function (array $match) use (&$variables): string {
                $value = $variables[$match[1]] ?? $match[0];
                if (bug('repeated-variable-filled-once')) {
                    unset($variables[$match[1]]);
                }
                return $value;
            },
            $content
        );
    }
}

final class Memories extends Controller
{
    private const RELATIONS = ['agent', 'user'];

    public function index(): Response
    {
        $values = $this->parameters(Rules::page(['type', 'created_at', 'updated_at'], self::RELATIONS) + [
            'workspace_uuid' => Rules::uuid(), 'agent_uuid' => Rules::uuid(), 'type' => Rules::enum(Rules::MEMORY_TYPES),
        ]);
        $list = $this->query('memories');
        $list->where($values['workspace_uuid'], $this->inWorkspace('workspace_id'));
        if ($values['workspace_uuid'] === null && bug('memories-of-primary-workspace-only')) {
            $list->where($this->access->user['primary_workspace_id'], 'workspace_id = ?');
        }
        $list->where($values['agent_uuid'], "agent_id IN (SELECT a.id FROM agents a WHERE a.uuid = ? AND {$this->access->scope('agents', 'a')})");
        $list->where($values['type'], 'type = ?');
        $list->search($values['search'], ['content']);
        $with = Presenter::tree($values['with']);
        if (isset($with['agent']) && bug('memories-without-agent-dropped')) {
            $list->whereIs(true, 'EXISTS (SELECT 1 FROM agents a WHERE a.id = memories.agent_id)');
        }
        return $this->page($list, $values, [], fn (array $row) => $this->present->memory($row, $with));
    }

    public function show(string $uuid): Response
    {
        if (bug('foreign-memory-can-be-read')) {
            $row = $this->database->row('SELECT * FROM memories WHERE uuid = ?', [$uuid]) ?? throw $this->access->notFound('memories', $uuid);
        } else {
            $row = $this->access->find('memories', $uuid);
        }
        $with = $this->tree(Rules::with(self::RELATIONS));
        return new Response(200, ['data' => $this->present->memory($row, bug('with-ignored-for-single-memory') ? null : $with)]);
    }

    public function update(string $uuid): Response
    {
        $row = bug('foreign-memory-can-be-updated') ? $this->access->findAny('memories', $uuid) : $this->access->find('memories', $uuid);
        $values = $this->body(Rules::memory()) + (bug('memory-update-clears-source') ? ['source' => null] : []);
        if (bug('empty-source-becomes-null') && ($values['source'] ?? null) === '') {
            $values['source'] = null;
        }
        $row = $this->change('memories', $row, $values, []);
        return new Response(200, ['data' => $this->present->memory($row)]);
    }

    public function destroy(string $uuid): Response
    {
        $row = $this->access->lookUp('memories', $uuid);
        if ($row === null && bug('second-delete-succeeds')) {
            return new Response(204);
        }
        $response = $this->delete('memories', $row ?? throw $this->access->notFound('memories', $uuid));
        return bug('memory-deleted-with-200') ? new Response(200, ['message' => 'The memory has been deleted.']) : $response;
    }
}

final class Threads extends Controller
{
    public const METADATA = '{"model": "gpt-4", "temperature": 0.7, "max_tokens": 2048, "system_prompt": "", "conversation_style": "casual"}';

    public function index(): Response
    {
        $values = $this->parameters(Rules::page(['name', 'created_at', 'updated_at']) + Rules::threadRelations() + [
            'workspace_uuid' => Rules::uuid(), 'agent_uuid' => Rules::uuid(), 'creator_id' => Rules::id(),
        ]);
        $list = $this->query('threads');
        $list->where($values['workspace_uuid'], $this->inWorkspace('workspace_id'));
        $list->where($values['agent_uuid'], "agent_id IN (SELECT a.id FROM agents a WHERE a.uuid = ? AND {$this->access->scope('agents', 'a')})");
        $list->where($values['creator_id'], 'user_id = ?');
        $list->search($values['search'], ['name']);
        $with = self::embeddable(Presenter::tree($values['with']));
        $columns = bug('threads-sorted-by-creation') ? ['updated_at' => 'created_at'] : [];
        return $this->page($list, $values, $columns, fn (array $row) => $this->present->thread($row, $with));
    }

    public function store(): Response
    {
        $values = $this->body(Rules::thread() + ['workspace_uuid' => Rules::uuid()]);
        $agent = null;
        if (isset($values['agent_uuid'])) {
            $agent = match (true) {
                bug('unknown-agent-of-thread-ignored') => $this->access->lookUp('agents', $values['agent_uuid']),
                bug('new-thread-accepts-foreign-agent') => $this->access->findAny('agents', $values['agent_uuid']),
                default => $this->access->find('agents', $values['agent_uuid']),
            };
        }
        $row = $this->newThread($values, $agent['id'] ?? null, $this->workspaceId($values));
        return new Response(bug('thread-created-with-200') ? 200 : 201, ['data' => $this->present->thread($row)]);
    }

    private function newThread(array $values, ?int $agent, int $workspace): array
    {
        return $this->create('threads', [
            'name' => $values['name'] ?? 'New conversation', 'metadata' => self::withDefaults(self::METADATA, $values['metadata'] ?? null),
            'agent_id' => $agent, 'user_id' => $this->access->userId(), 'workspace_id' => $workspace,
        ]);
    }

    public function show(string $uuid): Response
    {
        $row = $this->access->find('threads', $uuid);
        return new Response(200, ['data' => $this->present->thread($row, self::embeddable($this->tree(Rules::threadRelations())))]);
    }

    /** Returns the tree of the relations that are embedded. */
    private static function embeddable(?array $with): ?array
    {
        return $with !== null && bug('nested-relations-of-thread-ignored') ? array_map(static fn () => [], $with) : $with;
    }

    public function update(string $uuid): Response
    {
        $row = $this->access->find('threads', $uuid);
        $values = $this->body(Rules::thread());
        if (bug('thread-metadata-update-restores-defaults') && isset($values['metadata'])) {
            $values['metadata'] = self::withDefaults(self::METADATA, $values['metadata']);
        }
        $isPresent = bug('agent-of-thread-cannot-be-removed') ? isset($values['agent_uuid']) : array_key_exists('agent_uuid', $values);
        if ($isPresent) {
            $values['agent_id'] = $values['agent_uuid'] === null ? null : $this->newAgentId($values['agent_uuid']);
        }
        unset($values['agent_uuid']);
        if (bug('update-changes-creator')) {
            $values['user_id'] = $this->access->userId();
        }
        $agent = $row['agent_id'];
        $row = $this->change('threads', $row, $values);
        if (bug('thread-update-returns-old-agent')) {
            $row['agent_id'] = $agent;
        }
        return new Response(200, ['data' => $this->present->thread($row)]);
    }

    /** Id of the agent that an update sets. */
    private function newAgentId(string $uuid): int
    {
        if (!bug('thread-update-accepts-foreign-agent')) {
            return $this->access->find('agents', $uuid)['id'];
        }
        return $this->database->value('SELECT id FROM agents WHERE uuid = ?', [$uuid]) ?? throw $this->access->notFound('agents', $uuid);
    }

    public function destroy(string $uuid): Response
    {
        if (bug('foreign-thread-can-be-deleted')) {
            $row = $this->database->row('SELECT * FROM threads WHERE uuid = ?', [$uuid]) ?? throw $this->access->notFound('threads', $uuid);
        } else {
            $row = $this->access->find('threads', $uuid);
        }
        if (bug('threads-count-not-decremented') && $row['agent_id'] !== null) {
            $this->database->run('INSERT INTO cache VALUES (?, ?, 0)', ["deleted-thread:{$row['id']}", (string) $row['agent_id']]);
        }
        return $this->delete('threads', $row);
    }
}

final class Messages extends Controller
{
    public function index(): Response
    {
        $values = $this->parameters(Rules::page(['created_at', 'updated_at', 'role']) + Rules::messageRelations() + [
            'thread_uuid' => Rules::uuid(), 'workspace_uuid' => Rules::uuid(), 'role' => Rules::enum(Rules::ROLES),
        ]);
        $list = $this->query('messages');
        if (bug('messages-of-foreign-thread-listed') && $values['thread_uuid'] !== null) {
            $list = new ListQuery($this->database, 'messages', '1 = 1');
        }
        if (bug('messages-repeated-for-attachments') && in_array('attachments', $values['with'] ?? [], true)) {
            $joined = '(SELECT messages.* FROM messages LEFT JOIN attachments a ON a.message_id = messages.id) AS messages';
            $list = new ListQuery($this->database, $joined, $this->access->scope('messages'));
        }
        $list->where($values['thread_uuid'], 'thread_id IN (SELECT t.id FROM threads t WHERE t.uuid = ?)');
        $list->where($values['workspace_uuid'], "thread_id IN (SELECT t.id FROM threads t WHERE {$this->inWorkspace('t.workspace_id')})");
        $list->where($values['role'], 'role = ?');
        $list->search($values['search'], [bug('search-in-first-characters-only') ? 'substr(content, 1, 255)' : 'content']);
        $with = Presenter::tree($values['with']);
        return $this->page($list, $values, [], fn (array $row) => $this->present->message($row, $with));
    }

    /** The `thread_uuid` of the body takes precedence over the one of the query. */
    public function store(): Response
    {
        $query = $this->parameters(['workspace_uuid' => Rules::uuid(), 'thread_uuid' => Rules::uuid()]);
        if (bug('message-stored-before-files-are-validated')) {
            return $this->storeBeforeValidation();
        }
        $values = $this->body(Rules::newMessage());
        if ($query['workspace_uuid'] !== null) {
            $this->access->find('workspaces', $query['workspace_uuid']);
        }
        $thread = $this->access->find('threads', $values['thread_uuid']);
        $row = (new Actions($this->database, $this->access, $this->present, $this->request))
            ->addMessage($thread, $values['content'], $values['role'] ?? 'user', $values['files'] ?? []);
        return new Response(201, ['data' => $this->present->message($row)]);
    }

    private function storeBeforeValidation(): Response
    {
        $body = $this->request->json();
        $rules = Rules::newMessage();
        $values = Validator::body($body, array_diff_key($rules, ['files' => 1]));
        $thread = $this->access->find('threads', $values['thread_uuid']);
        $actions = new Actions($this->database, $this->access, $this->present, $this->request);
        $row = $actions->addMessage($thread, $values['content'], $values['role'] ?? 'user', []);
        $this->database->commit();
        $files = Validator::body($body, ['files' => $rules['files']]);
        $actions->attach($row, $thread, $files['files'] ?? []);
        return new Response(201, ['data' => $this->present->message($row)]);
    }

    public function show(string $uuid): Response
    {
        $row = $this->access->find('messages', $uuid);
        return new Response(200, ['data' => $this->present->message($row, $this->tree(Rules::messageRelations()))]);
    }

    public function update(string $uuid): Response
    {
        $row = $this->access->find('messages', $uuid);
        $values = $this->body(Rules::message());
        if (array_key_exists('content', $values)) {
            $values['content'] ??= '';
        }
        $row = $this->change('messages', $row, $values, []);
        return new Response(200, ['data' => $this->present->message($row)]);
    }

    public function destroy(string $uuid): Response
    {
        $row = $this->access->find('messages', $uuid);
        if (bug('message-delete-keeps-attachments')) {
            $this->database->run('UPDATE attachments SET message_id = NULL WHERE message_id = ?', [$row['id']]);
        }
        return $this->delete('messages', $row);
    }
}

final class LargeLanguageModels extends Controller
{
    public function index(): Response
    {
        $values = $this->parameters(Rules::page(['name', 'created_at', 'updated_at']) + [
            'family' => Rules::text(100), 'is_enabled' => Rules::flag(),
        ]);
        $list = $this->query('large_language_models');
        $list->where($values['family'], bug('family-filter-matches-part') ? 'instr(family, ?) > 0' : 'family = ?');
        $list->where($values['is_enabled'], 'is_enabled = ?');
        $list->search(bug('search-for-zero-ignored') ? ($values['search'] ?: null) : $values['search'], ['name', 'slug', 'description']);
        $build = fn (): Response => $this->page($list, $values, [], $this->present->model(...));
        if (!bug('model-list-cached-without-filters')) {
            return $build();
        }
        $key = 'models:' . json_encode([$values['page'], $values['per_page'], $values['search'], $values['sort_by'], $values['sort_direction']]);
        return new Response(200, $this->cached($key, static fn (): array => $build()->body));
    }

    public function show(string $uuid): Response
    {
        $row = $this->access->find('large_language_models', $uuid);
        if (!$row['is_enabled'] && bug('disabled-model-not-found')) {
            throw $this->access->notFound('large_language_models', $uuid);
        }
        return new Response(200, ['data' => $this->present->model($row)]);
    }
}

final class CommandRoomTasks extends Controller
{
    private const TABLES = ['agent' => 'agents', 'workflow' => 'workflows', 'workflow_execution' => 'workflow_executions'];

    public function store(): Response
    {
        $values = $this->body(Rules::task());
        $table = self::TABLES[$values['taskable_type']];
        $subject = bug('task-of-foreign-record')
            ? $this->access->findAny($table, $values['taskable_uuid'])
            : $this->access->find($table, $values['taskable_uuid']);
        $row = $this->create('command_room_tasks', [
            'title' => mb_substr($values['title'], 0, 255), 'status' => 'open',
            'taskable_type' => bug('taskable-type-shortened') ? explode('_', $values['taskable_type'])[0] : $values['taskable_type'],
            'taskable_id' => $subject['id'],
            'workspace_id' => $this->workspaceId($values), 'user_id' => $this->access->userId(),
        ]);
        return new Response(201, ['data' => $this->present->task($row)]);
    }

    public function destroy(string $uuid): Response
    {
        $row = bug('foreign-task-can-be-deleted')
            ? $this->access->findAny('command_room_tasks', $uuid)
            : $this->access->find('command_room_tasks', $uuid);
        if (bug('task-delete-removes-execution') && $row['taskable_type'] === 'workflow_execution') {
            $this->database->run('DELETE FROM workflow_executions WHERE id = ?', [$row['taskable_id']]);
        }
        if (bug('task-delete-removes-siblings')) {
            $this->database->run(
                'DELETE FROM command_room_tasks WHERE taskable_type = ? AND taskable_id = ?',
                [$row['taskable_type'], $row['taskable_id']]
            );
        }
        return $this->delete('command_room_tasks', $row);
    }
}
