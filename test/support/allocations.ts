// node test/support/allocations.js FILE ... reads each NIfTI file and prints a line of JSON with the error,
// the largest array that was requested, and the growth of the process's peak memory.

import { readFileSync } from "node:fs";
import { basename } from "node:path";

export interface Outcome {
  file: string;
  error: string;
  message: string;
  /** The bytes of the largest array. */
  largest: number;
  /** The growth of peak memory in bytes, at least 0. */
  grown: number;
}

type Constructor = new (...parameters: unknown[]) => { byteLength: number };

let largest = 0;

/** Makes an array's constructor record the requested size, also if the allocation fails. */
function watch(name: string): void {
  const known = Reflect.get(globalThis, name) as Constructor & { BYTES_PER_ELEMENT?: number };
  const watched = new Proxy(known, {
    construct(target, parameters: unknown[], newTarget: Constructor) {
      const [length] = parameters;
      if (typeof length === "number") largest = Math.max(largest, length * (known.BYTES_PER_ELEMENT ?? 1));
      const made = Reflect.construct(target, parameters, newTarget) as { byteLength: number };
      if (typeof length !== "number" && !(length instanceof ArrayBuffer))
        largest = Math.max(largest, made.byteLength);
      return made;
    },
  });
  Reflect.set(globalThis, name, watched);
}

const integers = ["Uint8Array", "Int8Array", "Uint16Array", "Int16Array", "Uint32Array", "Int32Array"];
["ArrayBuffer", ...integers, "Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array"].forEach(
  watch,
);
const { readNifti } = await import("../../data/nifti/nifti.ts");

const peak = () => 1024 * process.resourceUsage().maxRSS;

for (const path of process.argv.slice(2)) {
  const bytes = new Uint8Array(readFileSync(path));
  const before = peak();
  largest = 0;
  let outcome = { error: "", message: "" };
  try {
    await readNifti(bytes, basename(path));
  } catch (error) {
    outcome = { error: (error as Error).name, message: (error as Error).message };
  }
  console.log(JSON.stringify({ file: basename(path), ...outcome, largest, grown: peak() - before }));
}
