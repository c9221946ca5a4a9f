// Writes TypeScript types of an OpenAPI document, with the provenance of each part as a JSDoc tag (@inferred, @documented ...).
//
//   npm install openapi-typescript@7 typescript@5
//   node generate.mjs http://127.0.0.1:8000/openapi.json athena.d.ts

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const LEVELS = /^(Inferred|Documented|Published|Confirmed)\.\s*/;

// Move the level from the start of each description to a tag at its end.
function tagProvenance(node) {
  if (node === null || typeof node !== "object") return;
  const level = typeof node.description === "string" && node.description.match(LEVELS);
  if (level) node.description = `${node.description.slice(level[0].length)}\n@${level[1].toLowerCase()}`.trim();
  for (const value of Object.values(node)) tagProvenance(value);
}

// Which of several properties are required together is not expressed: openapi-typescript would accept any value.
function dropRequiredAlternatives(schema) {
  const isRequired = (branch) => Object.keys(branch).join() === "required";
  if (schema.anyOf?.every(isRequired)) delete schema.anyOf;
}

async function readDocument(source) {
  if (source.endsWith(".yaml")) return pathToFileURL(resolve(source));
  const text = source.startsWith("http") ? await (await fetch(source)).text() : await readFile(source, "utf8");
  const contract = JSON.parse(text);
  tagProvenance(contract);
  return contract;
}

const [source, target] = process.argv.slice(2);
await mkdir(dirname(target), { recursive: true });
const options = { defaultNonNullable: false, transform: dropRequiredAlternatives };
await writeFile(target, astToString(await openapiTS(await readDocument(source), options)));
