// A stage's folder has one writer at a time, the holder of its lock. A lock is a file "lock.<n>" that names
// its holder, and that only one process can make. If the holder is gone, nobody takes the lock over: the
// next number follows, so that of several processes that try, exactly one succeeds.

import { readFileSync, rmSync } from "node:fs";
import { link, mkdir, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { UsageError } from "../../model/settings/errors.ts";

interface Holder {
  pid: number;
  host: string;
  /** When the process began, in the system's units, since a pid may be used again; null if unknown. */
  began: string | null;
  /** When the lock was made, for people who read it. */
  since: string;
}

const NAME = /^lock\.(\d+)$/;

/** True for the name of a lock, also of one that is being made. */
export function isLock(name: string): boolean {
  return /^\.?lock\.\d+(\.\d+)?$/.test(name);
}

/**
 * Takes a folder's lock, and makes the folder. Returns a function that releases it, and removes folders that
 * were made and are still empty. Throws a UsageError that names the holder if another process has it. Calls
 * `stale` with a message for each removed lock of a process that is gone.
 */
export async function lockFolder(
  folder: string,
  stale: (text: string) => void = () => undefined,
): Promise<() => Promise<void>> {
  const made = await mkdir(folder, { recursive: true });
  const own = join(folder, `.lock.${process.pid}`);
  const me: Holder = {
    pid: process.pid,
    host: hostname(),
    began: beginning(process.pid),
    since: new Date().toISOString(),
  };
  await writeFile(own, JSON.stringify(me));
  let number: number;
  try {
    number = await take(folder, own, stale);
  } catch (error) {
    await rm(own, { force: true });
    await removeEmpty(folder, made);
    throw error;
  }
  await rm(own, { force: true });
  const path = join(folder, `lock.${number}`);
  const atExit = () => rmSync(path, { force: true });
  process.on("exit", atExit);
  return async () => {
    process.off("exit", atExit);
    await rm(path, { force: true });
    await removeEmpty(folder, made);
  };
}

/** Makes the lock of the next number if all earlier holders are gone. */
async function take(folder: string, own: string, stale: (text: string) => void): Promise<number> {
  for (;;) {
    const before = await locks(folder);
    for (const { holder } of before) if (holder && isAlive(holder)) refuse(folder, holder);
    const number = Math.max(0, ...before.map((lock) => lock.number)) + 1;
    const path = join(folder, `lock.${number}`);
    try {
      await link(own, path); // atomic, and fails if the file exists
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST" || code === "ENOENT") continue; // another process was faster
      if (!(await copied(own, path))) continue; // a file system without links
    }
    const others = (await locks(folder)).filter((lock) => lock.number !== number);
    const rival = others.find(({ holder }) => holder && isAlive(holder));
    if (rival) {
      await rm(path, { force: true });
      refuse(folder, rival.holder!);
    }
    for (const lock of others) {
      await rm(join(folder, `lock.${lock.number}`), { force: true });
      const { holder } = lock;
      const holderText = holder ? `process ${holder.pid} on ${holder.host}` : "a process";
      stale(`${folder}: removed the lock of ${holderText}, which is gone`);
    }
    return number;
  }
}

function refuse(folder: string, { pid, host, since }: Holder): never {
  throw new UsageError(
    `${folder}: in use by process ${pid} on ${host} since ${since}: wait for it, or choose another --out` +
      (host === hostname() ? "" : `; if ${host} is gone, delete the lock.* in it`),
  );
}

async function locks(folder: string): Promise<{ number: number; holder: Holder | null }[]> {
  const names = await readdir(folder).catch(() => []);
  const found = names.flatMap((name) => NAME.exec(name)?.[1] ?? []);
  return Promise.all(
    found.map(async (number) => ({
      number: Number(number),
      holder: await read(join(folder, `lock.${number}`)),
    })),
  );
}

/** The holder in a lock; null if the file is gone, or was cut short by a crash of the machine. */
async function read(path: string): Promise<Holder | null> {
  try {
    const found = JSON.parse(await readFile(path, "utf8")) as Holder;
    return Number.isSafeInteger(found.pid) && typeof found.host === "string" ? found : null;
  } catch {
    return null;
  }
}

/** True if a holder still runs; on another machine that is unknown, so it counts as running. */
function isAlive({ pid, host, began }: Holder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return began === null || began === beginning(pid);
}

/** When a process began: field 22 of Linux's /proc/<pid>/stat; null elsewhere. */
function beginning(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}

async function copied(own: string, path: string): Promise<boolean> {
  try {
    await writeFile(path, await readFile(own), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Removes a folder if it is empty, and then its empty parents up to `made`, the first that was made. */
async function removeEmpty(folder: string, made: string | undefined): Promise<void> {
  if (made === undefined) return;
  for (let path = folder; path.length >= made.length; path = dirname(path)) {
    try {
      await rmdir(path);
    } catch {
      return; // not empty
    }
  }
}
