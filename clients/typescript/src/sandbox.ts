/** A client of the test-control API of the mock. */

import { setTimeout as sleep } from "node:timers/promises";
import type { components, operations } from "./generated/athena.js";
import type { components as control } from "./generated/control.js";

type Schemas = components["schemas"];
type Control = control["schemas"];

export type SandboxDescription = Control["Sandbox"];
export type ClockState = Control["Clock"];
export type Snapshot = Control["Snapshot"];
export type Changes = Control["Changes"];
export type RuleResponse = Control["RuleResponse"];
export type Rule = Control["Rule"];
export type RuleParameters = Omit<Control["RuleParameters"], "match"> & {
  match?: WithOperation<NonNullable<Control["RuleParameters"]["match"]>>;
};
export type RecordedRequest = Control["RecordedRequest"];
export type HttpArchive = Control["HttpArchive"];
type WithOperation<Conditions> = Omit<Conditions, "operation"> & { operation?: keyof operations };
export type RequestSearch = WithOperation<Control["RequestSearch"]>;
export type RequestExpectation = WithOperation<Control["RequestExpectation"]>;
export type User = "demo" | "other" | "viewer" | "expired";

/** Records to create by resource. The value of a relation is a key, or `$Thread.0` for the first new Thread. */
export type RecordsInput = {
  [Name in keyof Schemas]?: RecordInput<Schemas[Name]>[] | ({ count: number } & RecordInput<Schemas[Name]>);
};
type RecordInput<Schema> = { [Attribute in keyof Schema]?: Schema[Attribute] | string | null } & { [name: string]: unknown };
export type CreatedRecords<Input extends RecordsInput> = { [Name in keyof Input & keyof Schemas]: Schemas[Name][] };

/** An error response of the control API. `errors`: messages by location in the request, or by recorded request. */
export class ControlError extends Error {
  constructor(
    request: string,
    readonly status: number,
    message: string,
    readonly errors: Record<string, string[]> = {},
  ) {
    const lines = Object.entries(errors).map(([location, messages]) => `\n  ${location}: ${messages.join(" ")}`);
    const firstDetail = Object.values(errors)[0]?.[0];
    const isRepeated = firstDetail !== undefined && message.startsWith(firstDetail);
    super(`${request}: got ${status}${isRepeated ? "" : `: ${message}`}${lines.join("")}`);
    this.name = "ControlError";
  }
}

export interface SandboxOptions {
  /** URL of the mock. Default: the environment variable MOCK_URL, else `http://127.0.0.1:8000`. */
  url?: string | undefined;
  /** Lower-case letters, digits and hyphens. Default: a new name. */
  name?: string | undefined;
  dataset?: string | undefined;
  seed?: number | undefined;
  /** End of the data and start of the clock. */
  epoch?: string | Date | undefined;
  /** The control token of a mock that is not on a loopback address. */
  controlToken?: string | undefined;
}

const BUILD_POLL_MS = 200;
const MAX_BUILD_POLLS = 300;

export const getDefaultUrl = () => process.env["MOCK_URL"] ?? "http://127.0.0.1:8000";

/** Create a sandbox, an isolated state of the mock, and wait for its dataset. */
export async function createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { url = getDefaultUrl(), name = `test-${crypto.randomUUID()}`, controlToken, dataset, seed } = options;
  const epoch = options.epoch instanceof Date ? options.epoch.toISOString() : options.epoch;
  const api = new ControlApi(`${url.replace(/\/+$/, "")}/__mock/api/sandboxes/${name}`, controlToken);
  let description = await api.send<SandboxDescription | undefined>("PUT", "", { dataset, seed, epoch });
  for (let polls = 0; !isReady(description); polls++) {
    if (polls === MAX_BUILD_POLLS) throw new Error(`The dataset of the sandbox ${name} is not ready after a minute.`);
    await sleep(BUILD_POLL_MS);
    description = await api.send("PUT", "", { dataset, seed, epoch });
  }
  return new Sandbox(api, description);
}

/** A sandbox whose dataset is being built has no base URL yet. */
const isReady = (description: SandboxDescription | undefined): description is SandboxDescription =>
  description?.base_url !== undefined;

/** Sends requests to the control API of one sandbox. */
export class ControlApi {
  constructor(
    readonly url: string,
    private readonly token?: string,
  ) {}

  /** Return the JSON of a response, undefined without a body. Throws ControlError, and Error without a response. */
  async send<Result>(method: string, path: string, body?: unknown): Promise<Result> {
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    if (this.token !== undefined) headers["Authorization"] = `Bearer ${this.token}`;
    const request = `${method} ${this.url}${path}`;
    const response = await fetch(this.url + path, { method, headers, body: body === undefined ? null : JSON.stringify(body) }).catch(
      (error: Error) => {
        throw new Error(`${request}: the mock cannot be reached. Is it running?`, { cause: error });
      },
    );
    const text = await response.text();
    if (!response.ok) throw createError(request, response.status, text);
    return (text === "" ? undefined : JSON.parse(text)) as Result;
  }
}

function createError(request: string, status: number, text: string): ControlError {
  try {
    const { message, errors, near_misses } = JSON.parse(text) as Control["Error"] & Partial<Control["Verification"]>;
    return new ControlError(request, status, message, errors ?? describeNearMisses(near_misses));
  } catch {
    return new ControlError(request, status, text.slice(0, 500));
  }
}

type NearMiss = Control["Verification"]["near_misses"][number];

/** Return how the requests that were made differ from the expected one. */
function describeNearMisses(nearMisses: NearMiss[] = []): Record<string, string[]> {
  return Object.fromEntries(
    nearMisses.map(({ request: { id, request }, differences }) => [
      `request ${id}, ${request.method} ${request.path}`,
      differences.map(describeDifference),
    ]),
  );
}

function describeDifference({ location, expected, received }: NearMiss["differences"][number]): string {
  return `${location}: expected ${JSON.stringify(expected)}, received ${JSON.stringify(received)}.`;
}

/** The clock of a sandbox. Its methods are named like those of Playwright's clock. */
export class Clock {
  constructor(private readonly api: ControlApi) {}

  get = () => this.api.send<ClockState>("GET", "/clock");
  /** Change the time, the speed, and whether the clock is frozen. */
  update = (changes: Control["ClockChanges"]) => this.api.send<ClockState>("PATCH", "/clock", changes);

  /** Set the time and freeze it. */
  async setFixedTime(time: string | number | Date): Promise<void> {
    await this.update({ now: parseTime(time, "setFixedTime").toISOString(), frozen: true });
  }

  /** Advance the time by milliseconds or `hh:mm:ss`, also if it is frozen. */
  async fastForward(duration: number | string): Promise<void> {
    await this.api.send("POST", "/clock/advance", { seconds: parseDuration(duration) / 1000 });
  }

  /** Unfreeze the clock. */
  async resume(): Promise<void> {
    await this.update({ frozen: false });
  }

  /** Set the time of the system, and let the clock run at its speed. */
  async synchronize(): Promise<void> {
    await this.api.send("POST", "/clock/synchronize");
  }
}

/** Convert a time, as the constructor of Date does. `source`: where it was set, for the message of an error. */
export function parseTime(time: string | number | Date, source: string): Date {
  const date = new Date(time);
  if (!Number.isNaN(date.getTime())) return date;
  throw new TypeError(`${source}: invalid time "${time}" (expected a Date, milliseconds, or a text such as "2026-03-01T09:00:00Z")`);
}

/** Convert a duration to milliseconds: a number of them, or `ss`, `mm:ss` or `hh:mm:ss`. */
export function parseDuration(duration: number | string): number {
  if (typeof duration === "number") return duration;
  if (!/^\d+(:[0-5]?\d){0,2}$/.test(duration)) {
    throw new TypeError(`invalid duration ${JSON.stringify(duration)} (expected milliseconds, or hh:mm:ss)`);
  }
  return 1000 * duration.split(":").reduce((total, part) => 60 * total + Number(part), 0);
}

export class Sandbox {
  constructor(
    readonly api: ControlApi,
    readonly description: SandboxDescription,
    readonly clock: Clock = new Clock(api),
  ) {}

  get name(): string {
    return this.description.name;
  }

  /** Base URL of the API that selects the sandbox. */
  get baseUrl(): string {
    return this.description.base_url;
  }

  /** A token of a user that selects the sandbox. */
  getToken(user: User): string {
    const { tokens, dataset } = this.description;
    const token = tokens[user];
    if (token !== undefined) return token;
    throw new Error(`The dataset ${dataset} has no user ${user} (expected ${Object.keys(tokens).join(", ") || "none"}).`);
  }

  /** Restore the initial records and the initial time, and delete the rules. */
  reset = () => this.api.send<SandboxDescription>("POST", "/reset");
  snapshot = (name: string) => this.api.send<Snapshot>("PUT", `/snapshots/${name}`);
  restore = (name: string) => this.api.send<Snapshot>("POST", `/snapshots/${name}/restore`);
  /** Return what differs from the creation of the sandbox or from a snapshot. */
  changes = (since = "") => this.api.send<Changes>("GET", `/changes?since=${since}`);
  /** Create related records: all or none. */
  records = <Input extends RecordsInput>(records: Input) =>
    this.api.send<CreatedRecords<Input>>("POST", "/records", records);
  /** Force the responses of the requests that match. */
  rule = (rule: RuleParameters) => this.api.send<Rule>("POST", "/rules", rule);
  listRules = async () => (await this.api.send<Control["RuleList"]>("GET", "/rules")).rules;
  /** Delete a rule, or all. */
  deleteRule = (name?: string) => this.api.send<undefined>("DELETE", name === undefined ? "/rules" : `/rules/${name}`);
  /** Return the recorded requests, newest first, with the deviations from the contract (`findings`). */
  requests = async (search: RequestSearch = {}) =>
    (await this.api.send<Control["RequestList"]>("POST", "/requests/find", search)).requests;
  /** Throw ControlError unless requests were made: `count` of them, or at least one. */
  verify = (expectation: RequestExpectation) =>
    this.api.send<Control["Verification"]>("POST", "/requests/verify", expectation);
  deleteRequests = () => this.api.send<undefined>("DELETE", "/requests");
  /** Return the recorded requests as an HTTP Archive. */
  har = () => this.api.send<HttpArchive>("GET", "/requests.har");
  delete = () => this.api.send<undefined>("DELETE", "");
}
