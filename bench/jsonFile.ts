// The file of --json or --trace, opened before anything is measured: a path that cannot be written should not cost a run.

import { closeSync, openSync, writeFileSync } from "node:fs";
import { UsageError } from "../model/settings/errors.ts";

/** Writes a value to `path` as JSON, or nowhere without one. Throws a UsageError at once if it cannot be written. */
export function jsonFile(path: string | undefined, flag = "--json"): (value: unknown) => void {
  if (path === undefined) return () => {};
  try {
    closeSync(openSync(path, "a"));
  } catch (error) {
    throw new UsageError(`${flag}: cannot write ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
  return (value) => writeFileSync(path, `${JSON.stringify(value, null, 1)}\n`);
}
