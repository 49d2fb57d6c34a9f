// CONTRIBUTING.md's listing of a new method is trained: copied as it stands, it is a method.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Method } from "../../model/methods/index.ts";
import { batch, events, MODALITIES, network, of, trained } from "../support/training.ts";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "CONTRIBUTING.md"), "utf8");
const [, code = ""] = /## Add a method\n.*?```ts\n(.*?)```/s.exec(page) ?? [];

/** The listing's method, its imports read from the built project. */
async function listed(): Promise<Method> {
  const folder = mkdtempSync(join(tmpdir(), "add-method-"));
  const base = pathToFileURL(join(root, "model/methods/logits.ts"));
  const placed = code.replace(/from "(\.[^"]+)\.ts"/g, (_, path: string) => {
    return `from "${new URL(`${path}.js`, base).href}"`;
  });
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const { outputText } = ts.transpileModule(placed, { compilerOptions: options });
  const file = join(folder, "logits.mjs");
  writeFileSync(file, outputText);
  const { logits } = (await import(pathToFileURL(file).href)) as { logits: Method };
  rmSync(folder, { recursive: true });
  return logits;
}

test("the listing names its file, and has the right types", () => {
  assert.match(code, /^\/\/ model\/methods\/logits\.ts\n/);
  const host = ts.createCompilerHost({});
  const file = join(root, "model/methods/logits.ts");
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, code, ts.ScriptTarget.ES2022) : getSourceFile(name, ...rest);
  host.fileExists = (name) => name === file || fileExists(name);
  host.readFile = (name) => (name === file ? code : readFile(name));
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), readFile) as { config: object };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram([file], { ...options, noEmit: true }, host);
  const problems = ts
    .getPreEmitDiagnostics(program, program.getSourceFile(file))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
  assert.equal(problems, []);
});

test("the listing's method trains: its term falls, and with its weight 0 it is plain supervision bit for bit", async () => {
  const method = await listed();
  const trial = (logitWeight: number) => ({
    method,
    teacher: network(MODALITIES, 9),
    settings: { logitWeight },
    stepsPerEpoch: 12,
  });
  const same = batch(1);
  const steps = of(await events({ ...trial(1), next: () => same }), "step");
  assert.equal(Object.keys(steps[0]!.losses), ["total", "crossEntropy", "dice", "logits"]);
  assert.ok(steps.at(-1)!.losses["logits"]! < 0.8 * steps[0]!.losses["logits"]!);
  assert.equal(await trained(trial(0)), await trained({ stepsPerEpoch: 12 }));
});

test.run();
