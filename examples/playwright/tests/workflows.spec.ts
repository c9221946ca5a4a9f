import { expect, test } from "./fixtures.js";

test.use({ mockDataset: "empty", mockUser: "demo", mockTime: "2026-03-01T09:00:00Z" });

test.beforeEach(async ({ page, mock }) => {
  await mock.records({ Workflow: [{ name: "Daily report", is_active: true }] });
  await page.goto("/#/workflows");
});

test("an execution is pending, then running, then completed", async ({ page, mock }) => {
  await mock.rule({ match: { operation: "createWorkflowExecution" }, respond: { outcome: "completed" } });
  await page.getByRole("button", { name: "Run" }).click();
  await expect(page.locator("output")).toHaveText("pending");
  await mock.clock.fastForward("00:01");
  await expect(page.locator("output")).toHaveText("running");
  await mock.clock.fastForward("01:00");
  await expect(page.locator("output")).toHaveText("completed");
});

test("an execution ends in an error", async ({ page, mock }) => {
  await mock.rule({ match: { operation: "createWorkflowExecution" }, respond: { outcome: "error" } });
  await page.getByRole("button", { name: "Run" }).click();
  await expect(page.locator("output")).toHaveText("pending");
  await mock.clock.fastForward("01:00");
  await expect(page.locator("output")).toHaveText("error");
});

test("a running execution is stopped", async ({ page, mock }) => {
  await page.getByRole("button", { name: "Run" }).click();
  await expect(page.locator("output")).toHaveText("pending");
  await mock.clock.fastForward("00:01");
  await expect(page.locator("output")).toHaveText("running");
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.locator("output")).toHaveText("stopped");
});
