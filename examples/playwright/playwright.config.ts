import { defineConfig } from "@playwright/test";
import type { MockOptions } from "@athena/contract/playwright";

const executablePath = process.env.CHROMIUM; // default: the browser of `npx playwright install chromium`

export default defineConfig<MockOptions>({
  testDir: "tests",
  fullyParallel: true,
  workers: 4,
  reporter: "list",
  globalSetup: "./global-setup.ts",
  use: {
    baseURL: process.env.FRONTEND_URL,
    mockTokenKey: "token",
    screenshot: "only-on-failure",
    launchOptions: { ...(executablePath ? { executablePath } : {}), args: ["--no-sandbox"] },
  },
});
