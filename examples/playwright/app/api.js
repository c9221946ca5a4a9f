// Requests to the Athena API. `config.js` sets its base URL.

const MAX_RETRIES = 3;

/** An error that the page shows. `errors`: messages by field. */
export class RequestError extends Error {
  constructor(message, errors = {}) {
    super(message);
    this.errors = errors;
  }
}

export const session = {
  get token() { return localStorage.getItem("token"); },
  set token(token) { token ? localStorage.setItem("token", token) : localStorage.removeItem("token"); },
};

/** Send a request and return its JSON. `onWait(seconds)` is called before a retry. */
export async function request(method, path, body, onWait = () => {}, retries = MAX_RETRIES) {
  const headers = { Accept: "application/json" };
  if (session.token) headers.Authorization = `Bearer ${session.token}`;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(window.API + path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new RequestError("The server cannot be reached.");
  }
  if (response.status === 429 && retries > 0) {
    const seconds = Number(response.headers.get("Retry-After") ?? 1);
    onWait(seconds);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    return request(method, path, body, onWait, retries - 1);
  }
  if (response.status === 401 && session.token) {
    session.token = null;
    location.hash = "#/sign-in?expired";
    throw new RequestError("Your session has expired.");
  }
  const json = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw new RequestError(json?.message ?? `Error ${response.status}`, json?.errors);
  if (json === null && response.status !== 204) throw new RequestError("The response is incomplete.");
  return json;
}
