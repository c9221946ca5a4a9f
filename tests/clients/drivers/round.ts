// Creates, lists, updates and deletes a thread with the types of openapi-typescript: node round.js BASE_URL

import createClient from "openapi-fetch";
import type { paths } from "./generated";

declare const process: { argv: string[]; stdout: { write(text: string): void } };

const client = createClient<paths>({
  baseUrl: process.argv[2],
  headers: { Authorization: "Bearer demo-token" },
});

function fail(step: string, error: unknown): never {
  throw new Error(`${step}: ${JSON.stringify(error)}`);
}

const created = await client.POST("/threads", { body: { name: "From TypeScript" } });
const thread = created.data?.data ?? fail("create", created.error);
const path = { uuid: thread.uuid };

const listed = await client.GET("/threads", { params: { query: { per_page: 100 } } });
const rows = listed.data?.data ?? fail("list", listed.error);
if (!rows.some((row) => row.uuid === thread.uuid && row.name === "From TypeScript")) fail("list", rows);

const updated = await client.PUT("/threads/{uuid}", { params: { path }, body: { name: "Renamed" } });
if (updated.data?.data.name !== "Renamed") fail("update", updated.error ?? updated.data);

const deleted = await client.DELETE("/threads/{uuid}", { params: { path } });
if (deleted.response.status !== 204) fail("delete", deleted.error);

const missing = await client.GET("/threads/{uuid}", { params: { path } });
process.stdout.write(`deleted: ${missing.response.status} ${missing.error?.message}\n`);
