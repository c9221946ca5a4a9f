<?php

declare(strict_types=1);

/** Authentication with a session, a MultipLai token or a bearer token, tried in this order. */
final class Auth
{
    private const LIFETIME_SECONDS = 43200;
    private const SESSION_COOKIE = 'athena_session';
    private const CSRF_COOKIE = 'XSRF-TOKEN';

    /** Row of the sign-in that authenticates the request; null for a configured token. */
    public ?array $signIn = null;

    public function __construct(private readonly Database $database)
    {
    }

    /** Returns the row of the caller. Raises 401 or 419. */
    public function authenticate(Request $request): array
    {
        $session = $this->session($request);
        if ($session === null && isset($request->cookies[self::SESSION_COOKIE]) && bug('invalid-session-blocks-token')) {
            throw new HttpError(401, 'Unauthenticated.');
        }
        $csrfFails = $session !== null && $this->needsCsrfToken($request)
            && !hash_equals($session['csrf_token'], urldecode($request->header('X-XSRF-TOKEN')));
        if ($session !== null && !$csrfFails) {
            $this->signIn = $session;
            return $this->user($session['user_id']);
        }
        $headers = [$request->header('X-Multiplai-Authorization'), $this->bearer($request)];
        foreach (bug('bearer-token-first') ? array_reverse($headers) : $headers as $token) {
            $user = $token === '' ? null : $this->userOfToken($token);
            if ($user !== null) {
                return $user;
            }
        }
        if (bug('unauthenticated-request-redirected') && !str_contains($request->header('Accept'), 'json')) {
            throw new HttpError(302, 'Redirecting to /login', [], ['Location' => '/login', 'Content-Type' => 'text/html; charset=UTF-8']);
        }
        throw $csrfFails ? new HttpError(419, 'CSRF token mismatch.') : new HttpError(401, 'Unauthenticated.');
    }

    private function needsCsrfToken(Request $request): bool
    {
        return bug('csrf-checked-for-post-only') ? $request->method === 'POST' : $request->changesState();
    }

    private function bearer(Request $request): string
    {
        return preg_match('/^bearer +(\S+) *$/iD', $request->header('Authorization'), $match) === 1 ? $match[1] : '';
    }

    private function session(Request $request): ?array
    {
        $id = $request->cookies[self::SESSION_COOKIE] ?? '';
        return is_string($id) && $id !== '' ? $this->activeSignIn('session_hash', $id) : null;
    }

    private function activeSignIn(string $column, string $secret): ?array
    {
        return $this->database->row("SELECT * FROM sign_ins WHERE $column = ? AND expires_at > ?", [hash('sha256', $secret), now()]);
    }

    private function userOfToken(string $token): ?array
    {
        foreach (self::configuredTokens() as $configured => $email) {
            if (hash_equals((string) $configured, $token)) {
                return $this->database->row('SELECT * FROM users WHERE email = ?', [$email]);
            }
        }
        $signIn = bug('revoked-token-cached') ? $this->cachedSignIn($token) : $this->activeSignIn('token_hash', $token);
        if ($signIn === null) {
            return null;
        }
        $this->signIn = $signIn;
        return $this->user($signIn['user_id']);
    }

    /** The sign-in of a token, from a cache for 60 s. */
    private function cachedSignIn(string $token): ?array
    {
        $key = 'token:' . hash('sha256', $token);
        $cached = $this->database->value('SELECT value FROM cache WHERE key = ? AND expires_at > ?', [$key, microtime(true)]);
        if ($cached !== null) {
            return json_decode($cached, true);
        }
        $signIn = $this->activeSignIn('token_hash', $token);
        if ($signIn !== null) {
            $this->database->run('INSERT OR REPLACE INTO cache VALUES (?, ?, ?)', [$key, json_encode($signIn), microtime(true) + 60]);
        }
        return $signIn;
    }

    /**
     * Tokens of the administrator: environment variable ATHENA_TOKENS, "TOKEN=EMAIL,TOKEN=EMAIL". They cannot be revoked.
     *
     * @return array<string, string> email address by token
     */
    private static function configuredTokens(): array
    {
        $text = getenv('ATHENA_TOKENS') ?: 'demo-token=john.doe@example.com,other-token=jane.smith@example.com,viewer-token=noor.haddad@example.com';
        $tokens = [];
        foreach (explode(',', $text) as $pair) {
            [$token, $email] = array_map('trim', explode('=', $pair, 2) + [1 => '']);
            $tokens[$token] = $email;
        }
        return $tokens;
    }

    private function user(int $id): array
    {
        return $this->database->row('SELECT * FROM users WHERE id = ?', [$id]);
    }

    public function signIn(Request $request, array $credentials): array
    {
        $user = $this->database->row('SELECT * FROM users WHERE email = ?', [$credentials['email']]);
        if ($user === null && bug('unknown-email-returns-404')) {
            throw new HttpError(404, 'There is no user with this email address.');
        }
        if ($user === null || !password_verify($credentials['password'], $user['password'])) {
            throw new HttpError(401, 'These credentials do not match our records.');
        }
        $start = new DateTimeImmutable('now', new DateTimeZone('UTC'));
        $expires = $start->modify('+' . self::LIFETIME_SECONDS . ' seconds');
        $token = bin2hex(random_bytes(24));
        $session = bin2hex(random_bytes(24));
        $csrf = bin2hex(random_bytes(24));
        $id = $this->database->insert('sign_ins', [
            'user_id' => $user['id'], 'token_hash' => null, 'session_hash' => hash('sha256', $session), 'csrf_token' => $csrf,
            'expires_at' => $expires->format('Y-m-d\TH:i:s.u\Z'),
        ]);
        $token = "$id|$token";
        $this->database->update('sign_ins', $id, ['token_hash' => hash('sha256', $token)]);
        return [
            'user' => $user,
            'token' => $token,
            'expires_at' => (bug('token-expires-at-sign-in') ? $start : $expires)->format('Y-m-d\TH:i:s.u\Z'),
            'cookies' => [
                self::SESSION_COOKIE . "=$session; Path=/; HttpOnly; SameSite=Lax; Max-Age=" . self::LIFETIME_SECONDS,
                self::CSRF_COOKIE . "=$csrf; Path=/; " . (bug('csrf-cookie-http-only') ? 'HttpOnly; ' : '') . 'SameSite=Lax; Max-Age='
                    . self::LIFETIME_SECONDS,
            ],
        ];
    }

    /** Ends the sign-in of the request and returns the cookies that delete the session. */
    public function logout(): array
    {
        if ($this->signIn !== null) {
            if (bug('logout-keeps-session')) {
                $this->database->update('sign_ins', $this->signIn['id'], ['token_hash' => null]);
            } elseif (bug('logout-ends-all-sign-ins')) {
                $this->database->run('DELETE FROM sign_ins WHERE user_id = ?', [$this->signIn['user_id']]);
            } else {
                $this->database->run('DELETE FROM sign_ins WHERE id = ?', [$this->signIn['id']]);
            }
        }
        return [self::SESSION_COOKIE . '=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0', self::CSRF_COOKIE . '=; Path=/; SameSite=Lax; Max-Age=0'];
    }
}
