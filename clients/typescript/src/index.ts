/** Types of the Athena API, and a client of its mock server for tests. */

export type { components, operations, paths } from "./generated/athena.js";
export * from "./mock.js";
export * from "./sandbox.js";
