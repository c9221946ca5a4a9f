<?php

declare(strict_types=1);

/** Routes requests to controllers and converts errors to responses. */
final class Application
{
    private const PREFIX = '/api/v1';
    private const MAX_URL_BYTES = 65536;

    /** Method, path and handler of each operation. Fixed segments precede `{uuid}`. */
    private const ROUTES = [
        ['GET', '/user', Users::class, 'show'],
        ['GET', '/user/multiplai', Users::class, 'show'],
        ['GET', '/workspaces/metrics', Metrics::class, 'workspace'],
        ['GET', '/workspaces', Workspaces::class, 'index'],
        ['GET', '/workspaces/{uuid}', Workspaces::class, 'show'],
        ['PUT', '/workspaces/{uuid}', Workspaces::class, 'update'],
        ['DELETE', '/workspaces/{uuid}', Workspaces::class, 'destroy'],
        ['GET', '/providers', Providers::class, 'index'],
        ['POST', '/providers', Providers::class, 'store'],
        ['GET', '/providers/{uuid}', Providers::class, 'show'],
        ['PUT', '/providers/{uuid}', Providers::class, 'update'],
        ['DELETE', '/providers/{uuid}', Providers::class, 'destroy'],
        ['GET', '/accounts', Accounts::class, 'index'],
        ['POST', '/accounts', Accounts::class, 'store'],
        ['GET', '/accounts/{uuid}', Accounts::class, 'show'],
        ['PUT', '/accounts/{uuid}', Accounts::class, 'update'],
        ['DELETE', '/accounts/{uuid}', Accounts::class, 'destroy'],
        ['POST', '/agents/metrics', Metrics::class, 'agents'],
        ['POST', '/agents/generate', Actions::class, 'generateAgent'],
        ['GET', '/agents/leaderboard', Actions::class, 'leaderboard'],
        ['GET', '/agents', Agents::class, 'index'],
        ['POST', '/agents', Agents::class, 'store'],
        ['GET', '/agents/{uuid}', Agents::class, 'show'],
        ['PUT', '/agents/{uuid}', Agents::class, 'update'],
        ['DELETE', '/agents/{uuid}', Agents::class, 'destroy'],
        ['POST', '/agents/{uuid}/run', Actions::class, 'runAgent'],
        ['POST', '/agents/{uuid}/train', Actions::class, 'trainAgent'],
        ['POST', '/agents/{uuid}/share', Actions::class, 'shareAgent'],
        ['POST', '/workflows/metrics', Metrics::class, 'workflows'],
        ['POST', '/workflows/generate', Actions::class, 'generateWorkflow'],
        ['GET', '/workflows', Workflows::class, 'index'],
        ['POST', '/workflows', Workflows::class, 'store'],
        ['GET', '/workflows/{uuid}', Workflows::class, 'show'],
        ['PUT', '/workflows/{uuid}', Workflows::class, 'update'],
        ['DELETE', '/workflows/{uuid}', Workflows::class, 'destroy'],
        ['POST', '/workflows/{uuid}/webhook', WorkflowExecutions::class, 'webhook'],
        ['POST', '/workflows/{uuid}/share', Actions::class, 'shareWorkflow'],
        ['POST', '/workflow-executions/metrics', Metrics::class, 'executions'],
        ['GET', '/workflow-executions/count', WorkflowExecutions::class, 'count'],
        ['GET', '/workflow-executions', WorkflowExecutions::class, 'index'],
        ['POST', '/workflow-executions', WorkflowExecutions::class, 'store'],
        ['GET', '/workflow-executions/{uuid}', WorkflowExecutions::class, 'show'],
        ['PUT', '/workflow-executions/{uuid}', WorkflowExecutions::class, 'update'],
        ['PATCH', '/workflow-executions/{uuid}', WorkflowExecutions::class, 'update'],
        ['DELETE', '/workflow-executions/{uuid}', WorkflowExecutions::class, 'destroy'],
        ['POST', '/workflow-executions/{uuid}/stop', WorkflowExecutions::class, 'stop'],
        ['GET', '/prompts', Prompts::class, 'index'],
        ['POST', '/prompts', Prompts::class, 'store'],
        ['GET', '/prompts/{uuid}', Prompts::class, 'show'],
        ['PUT', '/prompts/{uuid}', Prompts::class, 'update'],
        ['DELETE', '/prompts/{uuid}', Prompts::class, 'destroy'],
        ['POST', '/prompts/{uuid}/run', Prompts::class, 'run'],
        ['GET', '/memories', Memories::class, 'index'],
        ['GET', '/memories/{uuid}', Memories::class, 'show'],
        ['PUT', '/memories/{uuid}', Memories::class, 'update'],
        ['DELETE', '/memories/{uuid}', Memories::class, 'destroy'],
        ['POST', '/threads/metrics', Metrics::class, 'threads'],
        ['GET', '/threads', Threads::class, 'index'],
        ['POST', '/threads', Threads::class, 'store'],
        ['GET', '/threads/{uuid}', Threads::class, 'show'],
        ['PUT', '/threads/{uuid}', Threads::class, 'update'],
        ['DELETE', '/threads/{uuid}', Threads::class, 'destroy'],
        ['POST', '/threads/{uuid}/run', Actions::class, 'runThread'],
        ['POST', '/threads/{uuid}/generate-name', Actions::class, 'nameThread'],
        ['POST', '/messages/metrics', Metrics::class, 'messages'],
        ['GET', '/messages', Messages::class, 'index'],
        ['POST', '/messages', Messages::class, 'store'],
        ['GET', '/messages/{uuid}', Messages::class, 'show'],
        ['PUT', '/messages/{uuid}', Messages::class, 'update'],
        ['DELETE', '/messages/{uuid}', Messages::class, 'destroy'],
        ['GET', '/large-language-models', LargeLanguageModels::class, 'index'],
        ['GET', '/large-language-models/{uuid}', LargeLanguageModels::class, 'show'],
        ['POST', '/command-room-tasks', CommandRoomTasks::class, 'store'],
        ['DELETE', '/command-room-tasks/{uuid}', CommandRoomTasks::class, 'destroy'],
    ];

    public function __construct(private readonly Database $database)
    {
    }

    public function handle(Request $request): Response
    {
        try {
            $response = $this->dispatch($request);
        } catch (HttpError $error) {
            $response = $error->toResponse();
        } catch (Throwable $error) {
            error_log((string) $error);
            $response = new Response(500, ['message' => 'Server Error']);
        }
        $isHead = $request->method === 'HEAD';
        return $isHead && $response->body !== null ? new Response($response->status, '', $response->headers) : $response;
    }

    private function dispatch(Request $request): Response
    {
        if (strlen($request->path) + strlen($request->queryString) > self::MAX_URL_BYTES) {
            throw new HttpError(414, 'The URL is longer than ' . self::MAX_URL_BYTES . ' bytes.');
        }
        if ($request->path === self::PREFIX . '/auth/sign-in' || $request->path === self::PREFIX . '/auth/logout') {
            return $this->authentication($request);
        }
        [$class, $method, $arguments] = $this->route($request);
        $request->requireJsonAccepted();
        $user = (new Auth($this->database))->authenticate($request);
        if (bug('user-touched-by-each-request')) {
            $user['updated_at'] = now();
            $this->database->update('users', $user['id'], ['updated_at' => $user['updated_at']]);
        }
        $access = new Access($this->database, $user);
        $controller = new $class($this->database, $access, new Presenter($this->database, $access), $request);
        $inTransaction = !(bug('lost-prompt-runs') && $controller instanceof Prompts && $method === 'run');
        if (!$request->changesState() || str_ends_with($request->path, '/metrics') || !$inTransaction) {
            return $controller->$method(...$arguments);
        }
        return $this->database->transaction(static fn () => $controller->$method(...$arguments));
    }

    private function authentication(Request $request): Response
    {
        if ($request->method !== 'POST') {
            throw $this->methodNotAllowed($request, ['POST']);
        }
        $request->requireJsonAccepted();
        $auth = new Auth($this->database);
        if (str_ends_with($request->path, '/logout')) {
            $auth->authenticate($request);
            return new Response(204, null, [], $auth->logout());
        }
        $result = $auth->signIn($request, Validator::body($request->json(), Rules::signIn()));
        $user = (new Presenter($this->database, new Access($this->database, $result['user'])))->user($result['user'], []);
        return new Response(200, ['data' => [
            'token' => $result['token'], 'token_type' => 'Bearer',
            'expires_at' => bug('token-expiry-is-null') ? null : $result['expires_at'], 'user' => $user,
        ]], [], $result['cookies']);
    }

    /** @return array{class-string<Controller>, string, list<string>} */
    private function route(Request $request): array
    {
        $method = $request->method === 'HEAD' ? 'GET' : $request->method;
        $allowed = [];
        foreach (self::ROUTES as [$routeMethod, $path, $class, $function]) {
            $pattern = '#^' . self::PREFIX . str_replace('{uuid}', '([^/]+)', $path) . '$#D';
            if (preg_match($pattern, $request->path, $match) !== 1) {
                continue;
            }
            if ($routeMethod === $method) {
                return [$class, $function, array_map('rawurldecode', array_slice($match, 1))];
            }
            $allowed[] = $routeMethod;
        }
        if ($allowed !== []) {
            throw $this->methodNotAllowed($request, $allowed);
        }
        if (bug('unknown-path-returns-html')) {
            throw new HttpError(404, 'Not Found', [], ['Content-Type' => 'text/html; charset=UTF-8']);
        }
        throw new HttpError(404, 'The route ' . mb_scrub($request->path, 'UTF-8') . ' could not be found.');
    }

    private function methodNotAllowed(Request $request, array $allowed): HttpError
    {
        $allowed = in_array('GET', $allowed, true) ? [...$allowed, 'HEAD'] : $allowed;
        $list = implode(', ', array_unique($allowed));
        $headers = bug('method-error-without-allow') ? [] : ['Allow' => $list];
        return new HttpError(405, "The {$request->method} method is not supported. Supported methods: $list.", [], $headers);
    }
}
