import { expect, test } from "./fixtures.js";

const frontend = process.env.FRONTEND_URL ?? "";

test.use({ mockDataset: "empty", mockOrigins: [frontend] });

// The server requests the threads from the mock, with the `baggage` of the page's request.
test("a page that the server renders shows the sandbox of the test", async ({ page, mock }) => {
  await mock.records({ Thread: [{ name: "Invoices" }] });
  await page.goto("/rendered");
  await expect(page.getByRole("listitem")).toHaveText(["Invoices"]);
});

test("without baggage it shows the default sandbox", async ({ browser }) => {
  const page = await browser.newPage({ baseURL: frontend, storageState: undefined });
  await page.goto("/rendered");
  await expect(page.getByRole("listitem")).toHaveCount(20);
  await page.close();
});
