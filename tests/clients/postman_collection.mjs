// Prints the Postman collection of an OpenAPI file: node postman_collection.mjs openapi.json
// Two runs print the same bytes: ids are derived from positions, and values without an example from a fixed seed.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const OPTIONS = {
  folderStrategy: "Tags",
  requestNameSource: "Fallback", // the summary
  parametersResolution: "Example",
  includeAuthInfoInExample: false,
  enableOptionalParameters: false,
};

let state = 1;
Math.random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
const { convertV2 } = createRequire(import.meta.url)("openapi-to-postmanv2");

function deriveId(path) {
  const hex = createHash("sha256").update(path).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join("-");
}

function replaceIds(node, path) {
  for (const [index, item] of [...(node.item ?? []), ...(node.response ?? [])].entries()) {
    replaceIds(item, `${path}/${index}:${item.name}`);
  }
  if ("id" in node) node.id = deriveId(path);
  if (node.info) node.info._postman_id = deriveId(path);
}

const data = readFileSync(process.argv[2], "utf8");
convertV2({ type: "string", data }, OPTIONS, (error, result) => {
  if (error || !result.result) {
    process.stderr.write(`${process.argv[2]}: ${error ?? result.reason}\n`);
    process.exitCode = 1;
    return;
  }
  const collection = result.output[0].data;
  // The converter refers to this variable for the first security scheme, but does not define it.
  collection.variable.push({ key: "bearerToken", value: "demo-token" });
  replaceIds(collection, collection.info.name);
  process.stdout.write(`${JSON.stringify(collection, null, 2)}\n`);
});
