// Runs test files in this process with one device, and writes their counts to a file, for run.ts:
//   node test/runFiles.js REPORT FILE ...
// A file that cannot be loaded, holds no test or ends the process counts as failed. A process with too many
// mappings of memory leaves the remaining files to the next.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Device } from "../engine/gpu/device.ts";

/** The tests of some files. */
export interface Counts {
  passed: number;
  failed: number;
  /** The failures with their files and errors, to repeat them at the end. */
  failures: string[];
  /** A line for each file with skipped tests. */
  skipped: string[];
  /** The files that this process did not run. */
  left: string[];
}

/** The result of uvu's runner of a suite: true or the errors' text, and counts. */
type Outcome = [errors: true | string, passed: number, skipped: number, total: number];
type Suite = () => Promise<Outcome>;

declare global {
  var UVU_DEFER: number;
  var UVU_INDEX: number;
  var UVU_QUEUE: [name: string, ...suites: Suite[]][];
}

/** Linux allows 65,530, and the largest file adds some 25,000. */
const MOST_MAPPINGS = 20_000;

const [, , report = "", ...files] = process.argv;
let passed = 0;
let failed = 0;
let finished = false;
const failures: string[] = [];
const skipped: string[] = [];
let left: string[] = [];

process.env["PROTOKD_TUNING"] = "off"; // the choice of kernels must not depend on their speed while tests run
globalThis.UVU_DEFER = 1; // uvu reads it when it is first imported
const { exec } = await import("uvu"); // before the lines below, so that uvu's message at exit comes first

process.on("exit", () => {
  if (!finished) {
    fail("the process ended before the tests did");
  }
  writeFileSync(report, JSON.stringify({ passed, failed, failures, skipped, left } satisfies Counts));
});
process.on("uncaughtException", (error) => {
  console.error(error);
  process.exit(1);
});

listenForSkips();
for (const [index, name] of files.entries()) {
  globalThis.UVU_INDEX = index;
  globalThis.UVU_QUEUE.push([name]);
  try {
    await import(new URL(name.replace(/\.ts$/, ".js"), import.meta.url).href);
    if (globalThis.UVU_QUEUE[index]!.length === 1)
      fail(`${name}: holds no test, or does not end in test.run()`);
  } catch (error) {
    fail(`${name}: cannot be loaded: ${error instanceof Error ? error.stack : String(error)}`);
  }
}
for (const [index, group] of globalThis.UVU_QUEUE.entries()) {
  const [name, ...suites] = group;
  group.splice(1, suites.length, ...suites.map((suite) => () => counted(name, suite)));
  group.push(() => handOn(index + 1));
}
const opened = listenForDevices();
await exec();
finished = true;

/** Runs a suite and adds its counts to ours. uvu itself would stop at a hook that throws. */
async function counted(file: string, suite: Suite): Promise<Outcome> {
  try {
    const outcome = await suite();
    for (const device of opened.splice(0)) device.gpu.destroy();
    passed += outcome[1];
    failed += outcome[3] - outcome[1];
    if (outcome[0] !== true) failures.push(`${file}\n${outcome[0]}`);
    if (outcome[2] > 0) skipped.push(`${file}: ${outcome[2]} by test.skip or test.only`);
    return outcome;
  } catch (error) {
    const message = `${file}: a hook failed: ${error instanceof Error ? error.stack : String(error)}`;
    failed++;
    failures.push(message);
    return [message, 0, 0, 1];
  }
}

/** Leaves the files from `next` on to another process, where this one holds too many mappings of memory. */
function handOn(next: number): Promise<Outcome> {
  if (mappings() > MOST_MAPPINGS) {
    left = files.slice(next);
    globalThis.UVU_QUEUE.length = next;
  }
  return Promise.resolve([true, 0, 0, 0]);
}

/** The mappings of memory that this process holds; 0 where the system does not say. */
function mappings(): number {
  return existsSync("/proc/self/maps") ? readFileSync("/proc/self/maps", "latin1").split("\n").length - 1 : 0;
}

/**
 * The devices that tests open while they run. Under lavapipe each kernel of a device holds some 120 mappings
 * of memory, and a process may have 65,530: so no device outlives the file that opened it.
 */
function listenForDevices(): Device[] {
  const devices: Device[] = [];
  Device.opened.add((device) => devices.push(device));
  return devices;
}

function fail(message: string): void {
  failed++;
  failures.push(message);
  console.error(message);
}

/**
 * Collects the lines beginning with SKIPPED, by which tests report missing data, to repeat them at the end.
 */
function listenForSkips(): void {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
    stream.write = (...args: unknown[]) => {
      for (const [, line] of String(args[0]).matchAll(/^SKIPPED: (.*)$/gm)) skipped.push(line!);
      return write(...args);
    };
  }
}
