// Runs every test/**/*.test.js, or those whose paths contain one of the arguments:
//   node test/run.js [name ...]
// The files of each folder run in one process with one device (runFiles.ts), or in a few: under lavapipe a
// kernel holds some 120 mappings of memory, a process may have 65,530, and all tests' kernels together need
// more. The end repeats every failure, and its last line is `N passed, N failed`. A file that cannot be
// loaded or holds no test, and a process that ends before its tests do, count as failed.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Counts } from "./runFiles.ts";

const filters = process.argv.slice(2);
const known = (await readdir(new URL(".", import.meta.url), { recursive: true }))
  .filter((path) => path.endsWith(".test.ts"))
  .sort();
const files = known.filter((name) => filters.length === 0 || filters.some((filter) => name.includes(filter)));
const total: Counts = { passed: 0, failed: 0, failures: [], skipped: [], left: [] };
if (files.length === 0) {
  total.failed++;
  total.failures.push(`no test file matches ${filters.join(" ")}: there are ${known.join(", ")}`);
}

const folder = mkdtempSync(join(tmpdir(), "tests-"));
for (const part of new Set(files.map(folderOf))) {
  let left = files.filter((name) => folderOf(name) === part);
  while (left.length > 0) {
    const counts = runFiles(part, left);
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.failures.push(...counts.failures);
    total.skipped.push(...counts.skipped);
    ({ left } = counts);
  }
}
rmSync(folder, { recursive: true });

const { passed, failed, failures } = total;
const skipped = [...new Set(total.skipped)]; // each process that loads a file prints them
if (skipped.length > 0)
  console.log(`${skipped.length} skipped:\n${skipped.map((line) => `  ${line}`).join("\n")}`);
if (failures.length > 0) console.log(`failed:\n${failures.map((text) => text.trimEnd()).join("\n")}`);
console.log(`${passed} passed, ${failed} failed`);
if (failed > 0) process.exitCode = 1;

/** Runs files of a folder of test/ in a process of their own. */
function runFiles(part: string, own: string[]): Counts {
  const runner = fileURLToPath(new URL("runFiles.js", import.meta.url));
  const report = join(folder, `${part}.json`);
  const { status, signal } = spawnSync(process.execPath, [...process.execArgv, runner, report, ...own], {
    stdio: "inherit",
  });
  try {
    return JSON.parse(readFileSync(report, "utf8")) as Counts;
  } catch {
    const message = `${part}: the process ended before the tests did: ${signal ?? `exit code ${status}`}`;
    return { passed: 0, failed: 1, failures: [message], skipped: [], left: [] };
  }
}

function folderOf(name: string): string {
  return name.split(/[\\/]/)[0]!;
}
