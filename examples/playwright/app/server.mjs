// Serves the files of the frontend, and a page that is rendered on the server and passes `baggage` on to the API.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const TYPES = { html: "text/html", js: "text/javascript", css: "text/css" };
const FILES = ["index.html", "app.js", "api.js", "style.css"];

const escapeHtml = (text) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

/** Render the names of the threads. The request to the API has the baggage of the page's request. */
async function renderThreads(api, request) {
  const headers = { Authorization: "Bearer demo-token" };
  if (request.headers.baggage) headers.baggage = request.headers.baggage;
  const { data } = await (await fetch(`${api}/threads`, { headers })).json();
  return `<!doctype html><title>Threads</title><ul>${data.map(({ name }) => `<li>${escapeHtml(name)}`).join("")}</ul>`;
}

async function respond(api, request) {
  const path = new URL(request.url, "http://localhost").pathname;
  if (path === "/rendered") return ["text/html", await renderThreads(api, request)];
  if (path === "/config.js") return ["text/javascript", `window.API = ${JSON.stringify(api)};`];
  const name = path === "/" ? "index.html" : path.slice(1);
  if (!FILES.includes(name)) return undefined;
  return [TYPES[name.split(".").at(-1)], await readFile(new URL(name, import.meta.url))];
}

/** Start the server on a free port. `api`: the base URL of the API. */
export async function startFrontend(api) {
  const server = createServer(async (request, response) => {
    const result = await respond(api, request).catch((error) => ["text/plain", `${error}`]);
    if (result === undefined) return response.writeHead(404).end();
    response.writeHead(200, { "Content-Type": `${result[0]}; charset=utf-8` }).end(result[1]);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}
