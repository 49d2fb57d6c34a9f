// Loaded before a command (node --import): counts what it does to files, and at one of these operations kills
// the process or lets the operation fail. The environment says which:
//   FAULT_AT      the number of the operation, from 1 on; 0 or nothing: none
//   FAULT         before, within (half of a write is done, nothing of anything else) or after: the process is
//                 killed there; or the code of an error, such as ENOSPC, which a write throws after a half
//   FAULT_PATHS   the files that count, as a regular expression
//   FAULT_READS   if set, reading counts too
//   FULL          writes to files with this in their paths always fail by half with ENOSPC
// At the end the process prints "OPERATIONS n".

import fs from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

type Act = (...parameters: unknown[]) => Promise<unknown>;

const { env } = process;
const at = Number(env["FAULT_AT"] ?? 0);
const kind = env["FAULT"] ?? "within";
const counted = new RegExp(env["FAULT_PATHS"] ?? "tmp$|jsonl$|lock|checkpoint|config|split");
let count = 0;

const promises = fs.promises as unknown as Record<string, Act>;
for (const name of [
  "rename",
  "link",
  "rm",
  "rmdir",
  "mkdir",
  "writeFile",
  "appendFile",
  "readFile",
  "open",
]) {
  const original = promises[name]!;
  promises[name] = async (...parameters) => {
    const [path, flags] = parameters;
    const act = () => original(...parameters);
    const reads = name === "readFile" || (name === "open" && !/[wa+]/.test(String(flags ?? "r")));
    const opened = reads && env["FAULT_READS"] === undefined ? await act() : await operate(name, path, act);
    if (name === "open") watch(opened as FileHandle, String(path));
    return opened;
  };
}

/** Makes writes and syncs of an open file operations of their own. */
function watch(handle: FileHandle, path: string): void {
  const writeFile = handle.writeFile.bind(handle) as (content: string | Uint8Array) => Promise<void>;
  const sync = handle.sync.bind(handle);
  handle.writeFile = async (content) => {
    const whole = content as string | Uint8Array;
    const half = () => writeFile(whole.slice(0, whole.length >> 1));
    if (env["FULL"] !== undefined && path.includes(env["FULL"])) {
      await half();
      throw failure("ENOSPC", "write");
    }
    await operate("write", path, () => writeFile(whole), half);
  };
  handle.sync = async () => {
    await operate("fsync", path, sync);
  };
}

/** Does an operation, or what is to happen instead if its turn has come; `half` does a part of it. */
async function operate(
  name: string,
  path: unknown,
  act: () => Promise<unknown>,
  half?: () => Promise<unknown>,
): Promise<unknown> {
  if (!counted.test(String(path)) || ++count !== at) return act();
  if (kind === "after") await act();
  else if (kind !== "before") await half?.();
  if (kind.startsWith("E")) throw failure(kind, name);
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => undefined);
}

function failure(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}: injected, ${syscall}`), { code, syscall });
}

syncBuiltinESMExports();
process.on("exit", () => console.log(`OPERATIONS ${count}`));
