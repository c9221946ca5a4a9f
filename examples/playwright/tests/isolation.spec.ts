import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "./fixtures.js";

test.use({ mockDataset: "empty", mockUser: "demo" });

test("only requests to the mock name the sandbox", async ({ page, mock }) => {
  const headers: unknown[] = [];
  const other = createServer((request, response) => {
    headers.push(request.headers.baggage);
    response.writeHead(200, { "Access-Control-Allow-Origin": "*" }).end();
  });
  await once(other.listen(0, "127.0.0.1"), "listening");
  await page.goto("/#/agents");
  await expect(page.getByText("There are no agents yet.")).toBeVisible();
  await page.evaluate((port) => fetch(`http://127.0.0.1:${port}/`), (other.address() as AddressInfo).port);
  other.close();

  expect(headers).toEqual([undefined]);
  const [request] = await mock.requests({ operation: "listAgents" });
  expect(request?.request.headers.baggage).toBe(`mock-sandbox=${mock.name}`);
});

test.describe("with a base URL", () => {
  test.use({ mockOrigins: [] });

  test("the frontend names the sandbox itself", async ({ page, mock }) => {
    await mock.records({ Agent: [{ name: "Alpha" }] });
    await page.addInitScript((url) => Object.defineProperty(window, "API", { value: url }), mock.baseUrl);
    await page.goto("/#/agents");
    await expect(page.getByRole("listitem")).toContainText("Alpha");
    const [request] = await mock.requests({ operation: "listAgents" });
    expect(request?.request.url).toContain(mock.baseUrl);
    expect(request?.request.headers.baggage).toBeUndefined();
  });
});

test.describe("with a time", () => {
  test.use({ mockTime: "2026-03-01T09:00:00Z" });

  test("page and mock have it until they resume", async ({ page, mock }) => {
    await page.goto("/");
    const getTimes = async () => [await page.evaluate(() => Date.now()), Date.parse((await mock.clock.get()).now)];
    expect(await getTimes()).toEqual(Array(2).fill(Date.parse("2026-03-01T09:00:00Z")));
    await mock.clock.setFixedTime("2026-03-02T09:00:00Z");
    await mock.clock.fastForward("01:00:00");
    expect(await getTimes()).toEqual(Array(2).fill(Date.parse("2026-03-02T10:00:00Z")));
    await mock.clock.resume();
    const resumed = Date.parse("2026-03-02T10:00:00Z");
    for (const index of [0, 1]) {
      await expect.poll(async () => (await getTimes())[index]).toBeGreaterThan(resumed);
      expect((await getTimes())[index]).toBeLessThan(resumed + 60_000);
    }
  });
});
