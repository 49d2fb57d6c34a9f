// The process that holds a lock, and how another process finds out that it is gone: by its pid where both
// share a machine and a pid namespace, else by its silence, because a holder writes to its lock again and
// again.

import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** The content of a lock. */
export interface Holder {
  pid: number;
  host: string;
  /** When the process began, in the system's units, since a pid may be used again; null if unknown. */
  began: string | null;
  /** When the lock was made, for people who read it. */
  since: string;
  /** A random name, which no other lock has. */
  id?: string;
  /** The id that Linux gives each start of a machine; null elsewhere, missing in locks of older versions. */
  boot?: string | null;
  /** The pid namespace: each container has its own. Null on other systems than Linux. */
  namespace?: string | null;
}

/** Seconds from one sign of life of a holder to the next. */
export const BEAT = 20;

/** Seconds without a sign of life after which a holder whose process cannot be seen counts as gone. */
export const SILENCE = 300;

/** This process, as the holder of a new lock. */
export function ownHolder(): Holder {
  const { pid } = process;
  return {
    pid,
    host: hostname(),
    began: statOf(pid)?.began ?? null,
    since: new Date().toISOString(),
    id: randomBytes(6).toString("hex"),
    boot: known(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    namespace: known(() => readlinkSync("/proc/self/ns/pid")),
  };
}

/** True unless a holder, silent for so many seconds, is gone. */
export function isAlive(holder: Holder, silent: number): boolean {
  const running = isVisible(holder) ? isRunning(holder) : null;
  return running ?? (!beats(holder) || silent < SILENCE);
}

/** Tells whether a holder gives signs of life: one of an older version does not. */
export function beats({ boot }: Holder): boolean {
  return boot !== undefined;
}

/** Tells whether a holder's pid means the same process here. */
export function isVisible({ boot, namespace, host }: Holder): boolean {
  if (boot === undefined) return host === hostname();
  const own = ownHolder();
  return boot === own.boot && namespace === own.namespace && (boot !== null || host === own.host);
}

/** Tells whether the process of a visible holder runs; null if its pid may have been used again. */
function isRunning({ pid, began }: Holder): boolean | null {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const found = statOf(pid);
  if (found && (found.ended || (began !== null && found.began !== began))) return false;
  return found && began !== null ? true : null;
}

/**
 * When a process began, and whether it has ended and only its parent has not noticed: fields 22 and 3 of
 * Linux's /proc/PID/stat. Null elsewhere.
 */
function statOf(pid: number): { began: string; ended: boolean } | null {
  const stat = known(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  return fields[19] === undefined ? null : { began: fields[19], ended: /[ZX]/.test(fields[0]!) };
}

function known(read: () => string): string | null {
  try {
    return read();
  } catch {
    return null;
  }
}
