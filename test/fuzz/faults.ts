// How a damaged file may be read: as a value, or refused by one of the project's own errors.

import { basename } from "node:path";
import type { Target } from "./targets.ts";

/** Errors that are about the file. */
const OWN = new Set(["DataError", "CheckpointError", "UsageError"]);

const MIB = 2 ** 20;
const LONGEST = 20_000; // characters of a message
const SLOWEST = 10_000; // ms: no file here has more than 64 KiB

/** Reads a file and returns a fault of its reader, null where all is well; `refused` is true for an error. */
export async function faultOf(
  { read }: Pick<Target, "read">,
  bytes: Uint8Array,
  path: string,
): Promise<{ fault: string | null; refused: boolean }> {
  const before = peak();
  const started = performance.now();
  let decoded = 0;
  let error: unknown = null;
  const { log } = console;
  console.log = () => undefined; // warnings
  try {
    decoded = await read(bytes, path);
  } catch (thrown) {
    error = thrown;
  } finally {
    console.log = log;
  }
  const took = performance.now() - started;
  const allowed = 4 * decoded + 64 * MIB;
  const grown = peak() - before;
  const fault =
    (error === null ? null : errorFault(error, path)) ??
    (grown > allowed
      ? `took ${Math.round(grown / MIB)} MiB, ${Math.round(allowed / MIB)} are allowed`
      : null) ??
    (took > SLOWEST ? `took ${Math.round(took / 1000)} s` : null) ??
    ("polluted" in {} ? "changed the prototype of all objects" : null);
  return { fault, refused: error !== null };
}

function errorFault(error: unknown, path: string): string | null {
  if (!(error instanceof Error)) return `threw ${String(error)}, which is no Error`;
  const { name, message } = error;
  if (!OWN.has(name)) return `${error.stack ?? message}`;
  if (!message.includes(basename(path)))
    return `an error that does not name the file: ${message.slice(0, 300)}`;
  if (message.length > LONGEST) return `an error of ${message.length} characters: ${message.slice(0, 300)}`;
  return null;
}

function peak(): number {
  return 1024 * process.resourceUsage().maxRSS;
}
