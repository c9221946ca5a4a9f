import { test as base } from "@playwright/test";
import { type MockFixtures, mockFixtures } from "@athena/contract/playwright";

export const test = base.extend<MockFixtures>(mockFixtures);
export { expect } from "@playwright/test";
