import { expect, test } from "./fixtures.js";

test.use({ mockDataset: "empty", mockUser: "demo" });

test("an empty workspace has no agents", async ({ page }) => {
  await page.goto("/#/agents");
  await expect(page.getByText("There are no agents yet.")).toBeVisible();
});

test("three agents are listed", async ({ page, mock }) => {
  await mock.records({ Agent: [{ name: "Alpha" }, { name: "Beta" }, { name: "Gamma" }] });
  await page.goto("/#/agents");
  await expect(page.getByRole("listitem")).toContainText([/Gamma|Beta|Alpha/, /Gamma|Beta|Alpha/, /Gamma|Beta|Alpha/]);
  await expect(page.getByText("3 of 3")).toBeVisible();
});

test("an invalid name is shown at its field", async ({ page, mock }) => {
  await page.goto("/#/agents");
  await page.getByRole("button", { name: "Create agent" }).click();
  await expect(page.locator(".field-error", { hasText: "The name field is required." })).toBeVisible();
  expect((await mock.changes()).created).toEqual([]);
});

test("a new agent is stored", async ({ page, mock }) => {
  await page.goto("/#/agents");
  await page.getByRole("textbox", { name: "Create agent" }).fill("Alpha");
  await page.getByRole("button", { name: "Create agent" }).click();
  await expect(page.getByRole("listitem")).toContainText("Alpha");
  await mock.verify({ operation: "createAgent", body: { name: "Alpha" }, status: 201, count: 1 });
  expect((await mock.changes()).created).toMatchObject([{ resource: "Agent", record: { name: "Alpha" } }]);
});

test("a deleted agent disappears", async ({ page, mock }) => {
  await mock.records({ Agent: [{ name: "Alpha" }, { name: "Beta" }] });
  await mock.snapshot("before");
  await page.goto("/#/agents");
  await page.getByRole("listitem").filter({ hasText: "Alpha" }).getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("1 of 1")).toBeVisible();
  expect((await mock.changes("before")).deleted).toMatchObject([{ resource: "Agent" }]);
});

test("a shared agent is visible to the other user", async ({ page, mock, browser, baseURL }) => {
  await mock.records({ Agent: [{ name: "Alpha" }] });
  const others = await (await browser.newContext({ storageState: mock.as("other"), baseURL })).newPage();
  await others.goto("/#/agents");
  await expect(others.getByText("There are no agents yet.")).toBeVisible();

  page.on("dialog", (dialog) => dialog.accept("124"));
  await page.goto("/#/agents");
  await page.getByRole("button", { name: "Share" }).click();
  await expect(page.getByText("Alpha is shared.")).toBeVisible();

  await others.reload();
  await expect(others.getByRole("listitem")).toContainText("Alpha shared");
  await others.context().close();
});
