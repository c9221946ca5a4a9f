import type { Page } from "@playwright/test";
import type { Mock } from "@athena/contract/playwright";
import { expect, test } from "./fixtures.js";

async function signIn(page: Page, mock: Mock, password: string): Promise<void> {
  await page.goto("/");
  await page.getByLabel("E-mail").fill(mock.description.accounts[0]?.email ?? "");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

test("a wrong password is rejected", async ({ page, mock }) => {
  await signIn(page, mock, "wrong");
  await expect(page.getByRole("alert")).toContainText("credentials");
  await mock.verify({ operation: "signIn", status: 401 });
  await expect(page).toHaveURL(/#\/sign-in$/);
});

test("a session expires while the page is open", async ({ page, mock }) => {
  await signIn(page, mock, "password");
  await expect(page.getByRole("listitem").first()).toBeVisible();
  await mock.clock.fastForward("13:00:00"); // a token is valid for 12 hours
  await page.getByRole("link", { name: "Threads" }).click();
  await expect(page.getByRole("main")).toContainText("Your session has expired.");
});
