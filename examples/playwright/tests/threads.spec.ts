import { expect, test } from "./fixtures.js";

test.use({ mockDataset: "empty", mockUser: "demo", mockTime: "2026-03-01T09:00:00Z" });

test("a thread of 45 messages is loaded in pages", async ({ page, mock }) => {
  const { Thread } = await mock.records({ Thread: [{ name: "Invoices" }], Message: { count: 45, thread: "$Thread.0" } });
  await page.goto(`/#/threads/${Thread[0]?.uuid}`);
  for (const shown of [20, 40, 45]) {
    await expect(page.getByText(`${shown} of 45`)).toBeVisible();
    if (shown < 45) await page.getByRole("button", { name: "Load more" }).click();
  }
  await expect(page.getByRole("button", { name: "Load more" })).toBeHidden();
});

test("the age of a thread follows the clock", async ({ page, mock }) => {
  await mock.records({ Thread: [{ name: "Invoices", created_at: "2026-02-27T08:00:00Z" }] });
  await page.goto("/#/threads");
  await expect(page.getByRole("listitem")).toContainText("2 days ago");
  await mock.clock.fastForward("24:00:00");
  await page.reload();
  await expect(page.getByRole("listitem")).toContainText("3 days ago");
});

test("a run shows the question and the answer", async ({ page, mock }) => {
  await mock.rule({ match: { operation: "runThread" }, respond: { text: "It is paid." } });
  const { Thread } = await mock.records({ Agent: [{}], Thread: [{ name: "Invoices", agent: "$Agent.0" }] });
  await page.goto(`/#/threads/${Thread[0]?.uuid}`);
  await page.getByRole("textbox", { name: "Ask" }).fill("Is invoice 17 paid?");
  await page.getByRole("button", { name: "Ask" }).click();
  await expect(page.getByRole("listitem")).toHaveText(["user: Is invoice 17 paid?", "assistant: It is paid."]);
});

test("an unknown thread is an error", async ({ page }) => {
  await page.goto("/#/threads/00000000-0000-4000-8000-000000000000");
  await expect(page.getByRole("alert")).toBeVisible();
});
