// The file of --json or --trace. It is opened before the measurement, so that a bad path does not cost a run.

import { closeSync, openSync, writeFileSync } from "node:fs";
import { UsageError } from "../model/settings/errors.ts";

/**
 * Returns a function that writes a value to `path` as JSON, or does nothing without a path. Throws a
 * UsageError now if the file cannot be written.
 */
export function jsonFile(path: string | undefined, flag = "--json"): (value: unknown) => void {
  if (path === undefined) return () => {};
  try {
    closeSync(openSync(path, "a"));
  } catch (error) {
    throw new UsageError(`${flag}: cannot write ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
  return (value) => writeFileSync(path, `${JSON.stringify(value, null, 1)}\n`);
}
