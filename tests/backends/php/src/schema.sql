CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, first_name TEXT NOT NULL, last_name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE, password TEXT NOT NULL, profile_photo_url TEXT NOT NULL, multiplai_id TEXT NOT NULL UNIQUE,
    primary_workspace_id INTEGER REFERENCES workspaces ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS workspaces (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    profile_photo_url TEXT NOT NULL, multiplai_id TEXT NOT NULL, organization_multiplai_id TEXT, is_onboarded INTEGER NOT NULL,
    metadata TEXT NOT NULL, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS workspace_members (
    workspace_id INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (workspace_id, user_id)
);
CREATE TABLE IF NOT EXISTS sign_ins (
    id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE, token_hash TEXT UNIQUE,
    session_hash TEXT UNIQUE, csrf_token TEXT NOT NULL, expires_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS providers (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, slug TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
    website TEXT, profile_photo_url TEXT, profile_photo_config TEXT NOT NULL, authentication_strategy TEXT NOT NULL,
    authentication_config TEXT NOT NULL, is_enabled INTEGER NOT NULL, type TEXT NOT NULL, visibility TEXT NOT NULL, metadata TEXT NOT NULL,
    workspace_id INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, provider_display_name TEXT NOT NULL, provider_account_id TEXT,
    provider_authentication_strategy TEXT NOT NULL, credentials TEXT NOT NULL,
    provider_id INTEGER NOT NULL REFERENCES providers ON DELETE CASCADE,
    workspace_id INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS tools (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, description TEXT NOT NULL, type TEXT NOT NULL,
    profile_photo_url TEXT NOT NULL, profile_photo_config TEXT NOT NULL, visibility TEXT NOT NULL, credits INTEGER NOT NULL,
    metadata TEXT NOT NULL, pivot_account TEXT NOT NULL, user_id INTEGER REFERENCES users ON DELETE SET NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS agents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, description TEXT NOT NULL,
    instruction TEXT NOT NULL, profile_photo_url TEXT, profile_photo_config TEXT NOT NULL, visibility TEXT NOT NULL,
    metadata TEXT NOT NULL, usage_frequency TEXT NOT NULL, template INTEGER NOT NULL, favorite INTEGER NOT NULL,
    category_uuids TEXT NOT NULL, template_id INTEGER,
    workspace_id INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS agent_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, agent_id INTEGER NOT NULL REFERENCES agents ON DELETE CASCADE,
    user_id INTEGER REFERENCES users ON DELETE SET NULL, duration_ms INTEGER NOT NULL, created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS workflows (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, description TEXT NOT NULL,
    profile_photo_url TEXT, profile_photo_config TEXT, visibility TEXT NOT NULL, is_active INTEGER NOT NULL,
    nodes TEXT NOT NULL, edges TEXT NOT NULL, settings TEXT NOT NULL, static_data TEXT NOT NULL, pin_data TEXT NOT NULL,
    is_favorite INTEGER NOT NULL, allow_cloning INTEGER NOT NULL, allow_account_usage INTEGER NOT NULL, template_id INTEGER,
    deleted_at TEXT,
    workspace_id INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS agent_tools (
    id INTEGER PRIMARY KEY AUTOINCREMENT, agent_id INTEGER NOT NULL REFERENCES agents ON DELETE CASCADE,
    tool_id INTEGER NOT NULL REFERENCES tools ON DELETE CASCADE
);
CREATE TABLE IF NOT EXISTS agent_workflows (
    id INTEGER PRIMARY KEY AUTOINCREMENT, agent_id INTEGER NOT NULL REFERENCES agents ON DELETE CASCADE,
    workflow_id INTEGER NOT NULL REFERENCES workflows ON DELETE CASCADE
);
CREATE TABLE IF NOT EXISTS shares (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, subject_type TEXT NOT NULL, subject_id INTEGER NOT NULL,
    entity_type TEXT NOT NULL, entity_id INTEGER NOT NULL, permission TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS workflow_executions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, is_finished INTEGER NOT NULL, mode TEXT NOT NULL, retry_of TEXT,
    retry_success_id TEXT, started_at TEXT, stopped_at TEXT, wait_till TEXT, status TEXT NOT NULL, deleted_at TEXT,
    requires_human_review INTEGER NOT NULL, input TEXT NOT NULL, duration_ms INTEGER NOT NULL,
    workflow_id INTEGER NOT NULL REFERENCES workflows ON DELETE CASCADE, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS workflow_execution_data (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, workflow_data TEXT NOT NULL, metadata TEXT NOT NULL,
    data TEXT NOT NULL, deleted_at TEXT, workflow_execution_id INTEGER NOT NULL REFERENCES workflow_executions ON DELETE CASCADE,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS workflow_approvals (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, status TEXT NOT NULL,
    workflow_execution_id INTEGER NOT NULL REFERENCES workflow_executions ON DELETE CASCADE,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS prompts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, description TEXT, content TEXT NOT NULL,
    tags TEXT NOT NULL, profile_photo_url TEXT, profile_photo_config TEXT NOT NULL, visibility TEXT NOT NULL, metadata TEXT NOT NULL,
    usage_count INTEGER NOT NULL, last_used_at TEXT,
    workspace_id INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS memories (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, content TEXT NOT NULL, type TEXT NOT NULL, source TEXT,
    agent_id INTEGER REFERENCES agents ON DELETE CASCADE,
    workspace_id INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS threads (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, metadata TEXT NOT NULL,
    agent_id INTEGER REFERENCES agents ON DELETE CASCADE, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    workspace_id INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, content TEXT NOT NULL, role TEXT NOT NULL, metadata TEXT NOT NULL,
    thread_id INTEGER NOT NULL REFERENCES threads ON DELETE CASCADE, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS media (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, file_name TEXT NOT NULL, mime_type TEXT NOT NULL,
    size INTEGER NOT NULL, url TEXT NOT NULL, workspace_id INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS attachments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, type TEXT NOT NULL,
    message_id INTEGER REFERENCES messages ON DELETE CASCADE, thread_id INTEGER NOT NULL REFERENCES threads ON DELETE CASCADE,
    media_id INTEGER REFERENCES media ON DELETE CASCADE,
    workflow_execution_id INTEGER REFERENCES workflow_executions ON DELETE CASCADE, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS large_language_models (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, slug TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL, family TEXT NOT NULL, context_window INTEGER NOT NULL, max_output_tokens INTEGER NOT NULL,
    supports_tools INTEGER NOT NULL, supports_vision INTEGER NOT NULL, is_enabled INTEGER NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS command_room_tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, title TEXT NOT NULL, status TEXT NOT NULL,
    taskable_type TEXT NOT NULL, taskable_id INTEGER NOT NULL,
    workspace_id INTEGER NOT NULL REFERENCES workspaces ON DELETE CASCADE, user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS cache (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_at REAL NOT NULL);

CREATE INDEX IF NOT EXISTS messages_thread ON messages (thread_id);
CREATE INDEX IF NOT EXISTS attachments_message ON attachments (message_id);
CREATE INDEX IF NOT EXISTS attachments_thread ON attachments (thread_id);
CREATE INDEX IF NOT EXISTS threads_agent ON threads (agent_id);
CREATE INDEX IF NOT EXISTS runs_agent ON agent_runs (agent_id);
CREATE INDEX IF NOT EXISTS memories_agent ON memories (agent_id);
CREATE INDEX IF NOT EXISTS shares_subject ON shares (subject_type, subject_id);
CREATE INDEX IF NOT EXISTS executions_workflow ON workflow_executions (workflow_id);
CREATE INDEX IF NOT EXISTS execution_data_execution ON workflow_execution_data (workflow_execution_id);
CREATE INDEX IF NOT EXISTS agent_tools_agent ON agent_tools (agent_id);
CREATE INDEX IF NOT EXISTS agent_workflows_agent ON agent_workflows (agent_id);

-- Polymorphic references have no foreign key.
CREATE TRIGGER IF NOT EXISTS agents_deleted AFTER DELETE ON agents BEGIN
    DELETE FROM shares WHERE subject_type = 'agent' AND subject_id = OLD.id;
    DELETE FROM command_room_tasks WHERE taskable_type = 'agent' AND taskable_id = OLD.id;
END;
CREATE TRIGGER IF NOT EXISTS workflows_deleted AFTER DELETE ON workflows BEGIN
    DELETE FROM shares WHERE subject_type = 'workflow' AND subject_id = OLD.id;
    DELETE FROM command_room_tasks WHERE taskable_type = 'workflow' AND taskable_id = OLD.id;
END;
CREATE TRIGGER IF NOT EXISTS executions_deleted AFTER DELETE ON workflow_executions BEGIN
    DELETE FROM command_room_tasks WHERE taskable_type = 'workflow_execution' AND taskable_id = OLD.id;
END;
CREATE TRIGGER IF NOT EXISTS workspaces_deleted AFTER DELETE ON workspaces BEGIN
    DELETE FROM shares WHERE entity_type = 'workspace' AND entity_id = OLD.id;
END;
