import { afterAll, beforeAll, expect, test } from "vitest";
import { type components, ControlError, createSandbox, type paths, parseDuration, parseTime, type RunningMock, startMock } from "../src/index.js";

type AgentList = paths["/agents"]["get"]["responses"][200]["content"]["application/json"];

let mock: RunningMock;

beforeAll(async () => {
  mock = await startMock();
}, 90_000);
afterAll(() => mock.stop());

async function listAgentNames(baseUrl: string): Promise<string[]> {
  const response = await fetch(`${baseUrl}/agents`, { headers: { Authorization: "Bearer demo-token" } });
  const agents: components["schemas"]["Agent"][] = ((await response.json()) as AgentList).data;
  return agents.map(({ name }) => name);
}

const createEmpty = (options = {}) => createSandbox({ url: mock.url, dataset: "empty", ...options });

test("records of a sandbox are not visible in another", async () => {
  const [first, second] = await Promise.all([createEmpty(), createEmpty()]);
  const { Agent } = await first.records({ Agent: [{ name: "Alpha" }] });
  expect(Agent[0]?.uuid).toMatch(/^[0-9a-f-]{36}$/);
  expect(await listAgentNames(first.baseUrl)).toEqual(["Alpha"]);
  expect(await listAgentNames(second.baseUrl)).toEqual([]);
});

test("a token selects its sandbox", async () => {
  const sandbox = await createEmpty();
  const headers = { Authorization: `Bearer ${sandbox.getToken("demo")}` };
  const response = await fetch(`${mock.url}/api/v1/agents`, { headers });
  expect(((await response.json()) as AgentList).meta.path).toContain(sandbox.name);
});

test("a snapshot is restored, and a reset restores the creation", async () => {
  const sandbox = await createEmpty();
  await sandbox.records({ Agent: [{ name: "Alpha" }] });
  await sandbox.snapshot("one");
  await sandbox.records({ Agent: [{ name: "Beta" }] });
  expect((await sandbox.changes("one")).created).toMatchObject([{ resource: "Agent", record: { name: "Beta" } }]);
  await sandbox.restore("one");
  expect(await listAgentNames(sandbox.baseUrl)).toEqual(["Alpha"]);
  await sandbox.reset();
  expect(await sandbox.changes()).toEqual({ created: [], changed: [], deleted: [] });
});

test("a rule forces a response until it is deleted", async () => {
  const sandbox = await createEmpty();
  const rule = await sandbox.rule({ match: { operation: "listAgents" }, respond: { status: 503 } });
  expect((await fetch(`${sandbox.baseUrl}/agents`)).status).toBe(503);
  expect(await sandbox.listRules()).toMatchObject([{ name: rule.name, hits: 1 }]);
  await sandbox.deleteRule(rule.name);
  expect(await listAgentNames(sandbox.baseUrl)).toEqual([]);
});

test("a ready-made rule is added by its name", async () => {
  const sandbox = await createEmpty();
  await sandbox.rule({ preset: "token-expires" });
  const headers = { Authorization: "Bearer demo-token" };
  expect((await fetch(`${sandbox.baseUrl}/agents`, { headers })).status).toBe(401);
});

test("requests are recorded with what the contract says about them", async () => {
  const sandbox = await createEmpty();
  await fetch(`${sandbox.baseUrl}/agents?colour=red`, { headers: { Authorization: "Bearer demo-token" } });
  const [request] = await sandbox.requests({ operation: "listAgents" });
  expect(request?.response?.status).toBe(200);
  expect(request?.findings).toMatchObject([{ kind: "unknown-parameter", location: "query.colour" }]);
  expect((await sandbox.har()).log.entries).toHaveLength(1);
  await sandbox.deleteRequests();
  expect(await sandbox.requests()).toEqual([]);
});

test("an expected request that was not made is an error with the most similar one", async () => {
  const sandbox = await createEmpty();
  await listAgentNames(sandbox.baseUrl);
  await sandbox.verify({ operation: "listAgents", count: 1 });
  const verification = sandbox.verify({ operation: "listAgents", query: { search: "Alpha" } });
  await expect(verification).rejects.toThrow(/Expected at least 1 request, got 0.[^]*GET \/agents: query.search/);
});

test("the clock is set, advanced and resumed", async () => {
  const { clock } = await createEmpty({ epoch: "2026-03-01T09:00:00Z" });
  await clock.setFixedTime(new Date("2026-03-01T10:00:00Z"));
  await clock.fastForward("01:00:00");
  const { offset_seconds: offset, ...frozenClock } = await clock.get();
  expect(frozenClock).toEqual({ now: "2026-03-01T11:00:00.000000Z", frozen: true, speed: 1 });
  expect(Math.abs(Date.now() + 1000 * offset - Date.parse(frozenClock.now))).toBeLessThan(60_000);
  await clock.resume();
  expect((await clock.get()).frozen).toBe(false);
  expect(await clock.update({ speed: 60 })).toMatchObject({ speed: 60 });
  await clock.synchronize();
  const { now, frozen, speed } = await clock.get();
  expect({ frozen, speed }).toEqual({ frozen: false, speed: 1 });
  expect(Math.abs(Date.parse(now) - Date.now())).toBeLessThan(60_000);
});

test("a rejected request is an error with all its locations", async () => {
  const sandbox = await createEmpty();
  const records = { Message: [{ role: "nobody" as never }] };
  const error: unknown = await sandbox.records(records).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ControlError);
  expect((error as ControlError).status).toBe(422);
  expect((error as ControlError).message).toContain("Message.0.role");
  expect((error as ControlError).message.split("\n")[0]).toMatch(/records: got 422$/);
});

test("a user that the dataset does not have is an error", async () => {
  const sandbox = await createEmpty();
  expect(() => sandbox.getToken("bob" as never)).toThrow(/no user bob \(expected demo, other/);
  sandbox.description.tokens = {};
  expect(() => sandbox.getToken("viewer")).toThrow("The dataset empty has no user viewer (expected none).");
});

test("a deleted sandbox does not exist", async () => {
  const sandbox = await createEmpty();
  await sandbox.delete();
  await expect(sandbox.clock.get()).rejects.toThrow(ControlError);
});

test("a mock that cannot start is an error with its reason", async () => {
  await expect(startMock({ command: ["no-such-command"] })).rejects.toThrow("no-such-command: cannot be started");
  await expect(startMock({ command: "no-such-command" })).rejects.toThrow("no-such-command: cannot be started");
  await expect(startMock({ args: ["--dataset", "none"] })).rejects.toThrow(/exit code 2\n[^]*none/);
  await expect(startMock({ command: ["sh", "-c", "sleep 5"], timeoutMs: 300 })).rejects.toThrow("not ready after 300 ms");
});

test("a stopped mock does not respond", async () => {
  const other = await startMock();
  await other.stop();
  await other.stop();
  await expect(createSandbox({ url: other.url })).rejects.toThrow("the mock cannot be reached");
});

test.each([
  [1500, 1500],
  ["08", 8000],
  ["30:00", 1_800_000],
  ["24:00:00", 86_400_000],
])("the duration %s is %d ms", (duration, milliseconds) => {
  expect(parseDuration(duration)).toBe(milliseconds);
});

test("an invalid time is an error", async () => {
  const { clock } = await createEmpty();
  await expect(clock.setFixedTime("tomorrow")).rejects.toThrow('setFixedTime: invalid time "tomorrow" (expected a Date');
  expect(parseTime("2026-03-01", "mockTime").toISOString()).toBe("2026-03-01T00:00:00.000Z");
});

test("an invalid duration is an error", () => {
  expect(() => parseDuration("1 hour")).toThrow('invalid duration "1 hour"');
});
