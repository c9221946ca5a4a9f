import { expect, test } from "./fixtures.js";

test.use({ mockUser: "demo", mockTime: "2026-03-01T09:00:00Z" });

test("a server error is shown", async ({ page, mock }) => {
  await mock.rule({ match: { operation: "listAgents" }, respond: { status: 500 } });
  await page.goto("/#/agents");
  await expect(page.getByRole("alert")).toContainText("Server Error");
});

test("a slow response shows its progress", async ({ page, mock }) => {
  await mock.rule({ match: { operation: "listAgents" }, respond: { delay_ms: 3000 } });
  await page.goto("/#/agents");
  await expect(page.getByRole("status")).toHaveText("Loading…");
  await expect(page.getByRole("listitem")).not.toHaveCount(0);
  const [request] = await mock.requests({ operation: "listAgents" });
  expect(request?.duration_ms).toBeGreaterThanOrEqual(3000);
});

test("a lost connection can be retried", async ({ page, mock }) => {
  const { name } = await mock.rule({ match: { operation: "listAgents" }, respond: { fault: "connection-reset" } });
  await page.goto("/#/agents");
  await expect(page.getByRole("alert")).toContainText("The server cannot be reached.");
  await mock.deleteRule(name);
  await page.getByRole("button", { name: "Retry" }).click();
  await expect(page.getByRole("listitem")).not.toHaveCount(0);
});

test("a truncated response is an error", async ({ page, mock }) => {
  await mock.rule({ match: { operation: "listAgents" }, respond: { fault: "truncate" } });
  await page.goto("/#/agents");
  await expect(page.getByRole("alert")).toContainText("The response is incomplete.");
});

test("a request that exceeds the limit is repeated", async ({ page, mock }) => {
  const limited = { status: 429, headers: ["Retry-After: 60"] };
  await mock.rule({ match: { operation: "listAgents" }, respond: [limited, {}], times: 2 });
  await page.goto("/#/agents");
  await expect(page.getByRole("status")).toHaveText("Too many requests. Trying again in 60 s.");
  await mock.clock.fastForward("01:00");
  await expect(page.getByRole("listitem")).not.toHaveCount(0);
  await mock.verify({ operation: "listAgents", count: 2 });
});
