// A stage's folder has one writer at a time, the holder of its lock. A lock is a file "lock.<n>" that names
// its holder, and that only one process can make. If the holder is gone, nobody takes the lock over: the
// next number follows, so that of several processes that try, exactly one succeeds. A holder that was paused
// for so long that another followed it finds out before it writes.

import { readFileSync, rmSync } from "node:fs";
import { link, mkdir, open, readdir, readFile, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { largest } from "../../engine/values.ts";
import { BEAT, beats, type Holder, isAlive, isVisible, ownHolder, SILENCE } from "./lockHolder.ts";

/** Another process works in the folder: later, the same command may succeed. */
export class BusyError extends Error {
  override readonly name = "BusyError";
}

const NAME = /^lock\.(\d+)$/;
const MAKING = /^\.lock\.(\d+|[\da-f]{12})$/; // the number is the pid, of older versions

/** The locks that this process holds, as text, by their path. */
const held = new Map<string, string>();

/** True for the name of a lock, also of one that is being made. */
export function isLock(name: string): boolean {
  return NAME.test(name) || MAKING.test(name);
}

/**
 * Takes a folder's lock, and makes the folder. Returns a function that releases it, and removes folders that
 * were made and are still empty. Throws a BusyError that names the holder if another process has it. Calls
 * `stale` with a message for each removed lock of a process that is gone. The lock's time of change is
 * renewed every `beat` seconds.
 */
export async function lockFolder(
  folder: string,
  stale: (text: string) => void = () => undefined,
  beat = BEAT,
): Promise<() => Promise<void>> {
  const made = await mkdir(folder, { recursive: true });
  const me = ownHolder();
  const own = join(folder, `.lock.${me.id}`);
  const text = JSON.stringify(me);
  const unmake = () => rmSync(own, { force: true });
  process.on("exit", unmake); // a signal may come at any time
  let number: number;
  try {
    number = await take(folder, { own, text, stale });
  } catch (error) {
    await rm(own, { force: true });
    await removeEmpty(folder, made);
    throw error;
  } finally {
    process.off("exit", unmake);
  }
  const path = resolve(folder, `lock.${number}`);
  held.set(path, text);
  let beating = Promise.resolve();
  const timer = setInterval(() => {
    beating = renew(path, text).catch(() => undefined); // checkHeld() notices if the lock is gone
  }, beat * 1000).unref();
  const atExit = () => removeOwn(path, text);
  process.on("exit", atExit);
  return async () => {
    process.off("exit", atExit);
    clearInterval(timer);
    await beating;
    held.delete(path);
    removeOwn(path, text);
    await removeEmpty(folder, made);
  };
}

/**
 * Throws a BusyError if `path` is, or is in, a folder that this process had locked and another process has
 * taken over since. Call it before anything there changes.
 */
export async function checkHeld(path: string): Promise<void> {
  for (const [lock, text] of held) {
    const folder = dirname(lock);
    if (!`${resolve(path)}${sep}`.startsWith(folder + sep)) continue;
    const found = await readFile(lock, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw error;
    });
    if (found === text) continue;
    const by = (await locks(folder)).find(({ holder }) => holder)?.holder;
    throw new BusyError(
      `${folder}: ${by ? nameOf(by) : "another process"} took over this run's folder, because this process ` +
        `gave no sign of life for ${SILENCE / 60} minutes (was it paused, or the machine asleep?) or its lock ` +
        "was deleted: it ends, and writes nothing more there",
    );
  }
}

/** Writes the same bytes to a lock once more, so that its time of change is now; not to another's lock. */
async function renew(path: string, text: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    if ((await file.readFile("utf8")) !== text) return;
    await file.write(text, 0);
    await file.datasync(); // else a network's other machines see it late
  } finally {
    await file.close();
  }
}

/** Removes a lock unless it is another's. It is called at exit too, where nothing can be waited for. */
function removeOwn(path: string, text: string): void {
  try {
    if (readFileSync(path, "utf8") === text) rmSync(path);
  } catch {
    // gone already
  }
}

interface Attempt {
  /** The path of a file of one's own, to be linked as the lock. */
  own: string;
  text: string;
  stale: (text: string) => void;
}

/** Makes the lock of the next number if all earlier holders are gone. */
async function take(folder: string, { own, text, stale }: Attempt): Promise<number> {
  for (;;) {
    await writeFile(own, text); // again in each turn: who takes the lock removes the others' files
    const now = await stat(own).catch(() => null); // by the file system's clock: those of two machines differ
    if (!now) continue;
    const before = await locks(folder, now.mtimeMs);
    for (const lock of before) if (lives(lock)) refuse(folder, lock);
    const number =
      largest(
        before.map((lock) => lock.number),
        0,
      ) + 1;
    const path = join(folder, `lock.${number}`);
    try {
      await link(own, path); // atomic, and fails if the file exists
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST" || code === "ENOENT") continue; // another process was faster
      if (!(await written(path, text))) continue; // a file system without links
    }
    const others = (await locks(folder, now.mtimeMs)).filter((lock) => lock.number !== number);
    const rival = others.find(lives);
    if (rival) {
      await rm(path, { force: true });
      refuse(folder, rival);
    }
    for (const lock of others) {
      await rm(join(folder, `lock.${lock.number}`), { force: true });
      stale(`${folder}: removed the lock of ${goneText(lock)}`);
    }
    const making = (await readdir(folder)).filter((name) => MAKING.test(name));
    for (const name of making) await rm(join(folder, name), { force: true });
    return number;
  }
}

interface Lock {
  number: number;
  /** Null if the file is gone, or was cut short by a crash of the machine. */
  holder: Holder | null;
  /** Seconds since the holder's last sign of life. */
  silent: number;
}

function lives({ holder, silent }: Lock): boolean {
  return holder !== null && isAlive(holder, silent);
}

function refuse(folder: string, { holder, silent }: Lock): never {
  const { since } = holder!;
  const unseen = beats(holder!)
    ? `; its last sign of life is ${Math.max(0, Math.round(silent))} s old, and after ${SILENCE} s it counts as gone`
    : `; if ${holder!.host} is gone, delete the lock.* in it`;
  throw new BusyError(
    `${folder}: in use by ${nameOf(holder!)} since ${since}: wait for it, or choose another --out` +
      (isVisible(holder!) ? "" : unseen),
  );
}

function goneText({ holder, silent }: Lock): string {
  if (!holder) return "a process, which is gone";
  const why = isVisible(holder) ? "is gone" : `gave no sign of life for ${Math.round(silent / 60)} minutes`;
  return `${nameOf(holder)}, which ${why}`;
}

function nameOf({ pid, host }: Holder): string {
  return `process ${pid} on ${host}`;
}

/** The locks in a folder, at a time in ms by its file system's clock. */
async function locks(folder: string, now = 0): Promise<Lock[]> {
  const names = await readdir(folder).catch(() => []);
  const found = names.flatMap((name) => NAME.exec(name)?.[1] ?? []);
  return Promise.all(
    found.map(async (number) => ({
      number: Number(number),
      ...(await read(join(folder, `lock.${number}`), now)),
    })),
  );
}

async function read(path: string, now: number): Promise<Omit<Lock, "number">> {
  const file = await open(path, "r").catch(() => null);
  if (!file) return { holder: null, silent: Infinity };
  try {
    const { mtimeMs } = await file.stat(); // of the opened file: a network's other machines renew it
    const holder = JSON.parse(await file.readFile("utf8")) as Holder;
    const valid = Number.isSafeInteger(holder.pid) && typeof holder.host === "string";
    return { holder: valid ? holder : null, silent: (now - mtimeMs) / 1000 };
  } catch {
    return { holder: null, silent: Infinity };
  } finally {
    await file.close();
  }
}

async function written(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: "wx" });
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
