/** Fixtures of Playwright: each test has its own sandbox. Only types of Playwright are imported. */

import type {
  BrowserContext,
  Fixtures,
  PlaywrightTestArgs,
  PlaywrightTestOptions,
  PlaywrightWorkerArgs,
  PlaywrightWorkerOptions,
  TestInfo,
} from "@playwright/test";
import {
  Clock,
  type ControlApi,
  createSandbox,
  getDefaultUrl,
  parseDuration,
  parseTime,
  type RecordedRequest,
  Sandbox,
  type User,
} from "./sandbox.js";

export interface MockOptions {
  /** URL of the mock. Default: the environment variable MOCK_URL, else `http://127.0.0.1:8000`. */
  mockUrl: string;
  /** The control token of a mock that is not on a loopback address. */
  mockControlToken: string | undefined;
  mockDataset: string | undefined;
  mockSeed: number | undefined;
  /** End of the data, and the fixed time of sandbox and page until the test changes it. Default: both clocks run. */
  mockTime: string | undefined;
  /** The user that is signed in at the start of the test. Default: none. */
  mockUser: User | undefined;
  /** Key in the local storage of the frontend (at `baseURL`) under which it stores the token. */
  mockTokenKey: string;
  /**
   * Origins whose requests select the sandbox with the header `baggage`: the mock, a proxy before it, or a server that
   * renders pages and passes `baggage` on. Default: the mock. `[]` for a frontend that is given `mock.baseUrl`.
   */
  mockOrigins: string[];
}

export interface MockFixtures extends MockOptions {
  /** The sandbox of the test. */
  mock: Mock;
  /** The sandbox of the test, without a page. */
  mockSandbox: Sandbox;
}

type StorageState = Exclude<PlaywrightTestOptions["storageState"], string | undefined>;

/** The sandbox of a test, with a clock that changes the time of the sandbox and of the pages of the test. */
export class Mock extends Sandbox {
  constructor(
    sandbox: Sandbox,
    override readonly clock: PageClock,
    private readonly createStorageState: (user: User) => StorageState,
  ) {
    super(sandbox.api, sandbox.description);
  }

  /** Return the storage state of a browser context in which a user is signed in. */
  as(user: User): StorageState {
    return this.createStorageState(user);
  }
}

/** Changes the time of a sandbox first and then of the pages, so that timers of the pages get the new state. */
export class PageClock extends Clock {
  /** `fixedTime`: the time of the pages in milliseconds, undefined if it runs. */
  constructor(
    api: ControlApi,
    private readonly context: BrowserContext,
    private fixedTime?: number,
  ) {
    super(api);
  }

  override async setFixedTime(time: string | number | Date): Promise<void> {
    await super.setFixedTime(time);
    await this.setPageTime(new Date(time).getTime());
  }

  override async fastForward(duration: number | string): Promise<void> {
    const milliseconds = parseDuration(duration);
    await super.fastForward(milliseconds);
    // Playwright does not advance a fixed time.
    if (this.fixedTime !== undefined) await this.setPageTime(this.fixedTime + milliseconds);
    await this.context.clock.fastForward(milliseconds);
  }

  override async resume(): Promise<void> {
    await super.resume();
    if (this.fixedTime !== undefined) await this.context.clock.setSystemTime(this.fixedTime);
    this.fixedTime = undefined;
    await this.context.clock.resume();
  }

  override async synchronize(): Promise<void> {
    await super.synchronize();
    this.fixedTime = undefined;
    await this.context.clock.setSystemTime(new Date());
    await this.context.clock.resume();
  }

  private async setPageTime(time: number): Promise<void> {
    this.fixedTime = time;
    await this.context.clock.setFixedTime(time);
  }
}

/** Attach the requests of a test as an HTTP Archive, and as text with the deviations from the contract. */
async function attachRequests(testInfo: TestInfo, sandbox: Sandbox): Promise<void> {
  const requests = await sandbox.requests({ limit: 1000 });
  if (requests.length === 0) return;
  const har = JSON.stringify(await sandbox.har());
  await testInfo.attach("requests.har", { body: har, contentType: "application/json" });
  const text = requests.reverse().map(describeRequest).join("\n");
  await testInfo.attach("requests.txt", { body: text, contentType: "text/plain" });
}

function describeRequest({ request, response, operation, rule, findings }: RecordedRequest): string {
  const query = new URLSearchParams(request.query).toString();
  const status = response === null ? "no response" : response.status;
  const source = rule === null ? "" : `, rule ${rule}`;
  const lines = findings.map(({ kind, location, message }) => `\n  ${kind} ${location}: ${message}`);
  const target = query === "" ? request.path : `${request.path}?${query}`;
  return `${request.method} ${target} (${operation ?? "not in the contract"}): ${status}${source}${lines.join("")}`;
}

/** Add the header `baggage` that selects a sandbox to all requests to `origins`. */
async function selectSandbox(context: BrowserContext, origins: string[], sandbox: Sandbox): Promise<void> {
  if (origins.length === 0) return;
  await context.route(
    (url) => origins.includes(url.origin),
    async (route) => {
      const headers = route.request().headers();
      const baggage = [headers["baggage"], sandbox.description.baggage].filter(Boolean).join(",");
      await route.fallback({ headers: { ...headers, baggage } });
    },
  );
}

function buildStorageState(sandbox: Sandbox, baseURL: string | undefined, key: string, user: User): StorageState {
  if (baseURL === undefined) throw new Error("To sign in a user, set baseURL to the URL of the frontend.");
  const localStorage = [{ name: key, value: sandbox.getToken(user) }];
  return { cookies: [], origins: [{ origin: new URL(baseURL).origin, localStorage }] };
}

type BuiltinTestFixtures = PlaywrightTestArgs & PlaywrightTestOptions;
type BuiltinWorkerFixtures = PlaywrightWorkerArgs & PlaywrightWorkerOptions;

/** Pass to `test.extend<MockFixtures>` of Playwright. */
export const mockFixtures: Fixtures<MockFixtures, {}, BuiltinTestFixtures, BuiltinWorkerFixtures> = {
  mockUrl: [async ({}, use) => use(getDefaultUrl()), { option: true }],
  mockControlToken: [undefined, { option: true }],
  mockDataset: [undefined, { option: true }],
  mockSeed: [undefined, { option: true }],
  mockTime: [undefined, { option: true }],
  mockUser: [undefined, { option: true }],
  mockTokenKey: ["token", { option: true }],
  mockOrigins: [async ({ mockUrl }, use) => use([new URL(mockUrl).origin]), { option: true }],

  mockSandbox: async ({ mockUrl, mockControlToken, mockDataset, mockSeed, mockTime }, use, testInfo) => {
    const fixedTime = mockTime === undefined ? undefined : parseTime(mockTime, "mockTime");
    const sandbox = await createSandbox({
      url: mockUrl,
      controlToken: mockControlToken,
      dataset: mockDataset,
      seed: mockSeed,
      epoch: fixedTime,
    });
    if (fixedTime !== undefined) await sandbox.clock.setFixedTime(fixedTime);
    await use(sandbox);
    if (testInfo.status !== testInfo.expectedStatus) await attachRequests(testInfo, sandbox);
    await sandbox.delete();
  },

  storageState: async ({ storageState, mockSandbox, mockUser, mockTokenKey, baseURL }, use) => {
    await use(mockUser ? buildStorageState(mockSandbox, baseURL, mockTokenKey, mockUser) : storageState);
  },

  context: async ({ context, mockSandbox, mockOrigins, mockTime }, use) => {
    await selectSandbox(context, mockOrigins, mockSandbox);
    if (mockTime !== undefined) await context.clock.setFixedTime(mockTime);
    await use(context);
  },

  mock: async ({ context, mockSandbox, mockTime, mockTokenKey, baseURL }, use) => {
    const fixedTime = mockTime === undefined ? undefined : new Date(mockTime).getTime();
    const clock = new PageClock(mockSandbox.api, context, fixedTime);
    await use(new Mock(mockSandbox, clock, (user) => buildStorageState(mockSandbox, baseURL, mockTokenKey, user)));
  },
};
