// Files that the browser stores for this page (the origin private file system), for the worker. A file that
// must survive a crash during a write has two slots, written in turn: one of them is always whole.

import { OldStateError } from "../../model/errors.ts";

/** The part of a worker's files that TypeScript's DOM library lacks. */
interface Access {
  truncate(size: number): void;
  write(bytes: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  flush(): void;
  close(): void;
}
type Listed = FileSystemDirectoryHandle & { keys(): AsyncIterable<string> };
type WorkerFile = FileSystemFileHandle & { createSyncAccessHandle(): Promise<Access> };

/** A folder in the page's storage; made if it is missing. */
export async function keptFolder(...path: string[]): Promise<FileSystemDirectoryHandle> {
  let folder = await navigator.storage.getDirectory();
  for (const name of ["protokd", ...path]) folder = await folder.getDirectoryHandle(name, { create: true });
  return folder;
}

/** Removes a folder from the page's storage, if it exists. */
export async function forgetFolder(name: string): Promise<void> {
  const parent = await keptFolder();
  await parent.removeEntry(name, { recursive: true }).catch(ignoreMissing);
}

/** Writes a file, and waits until it is on the disk. */
export async function write(
  folder: FileSystemDirectoryHandle,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const file = (await folder.getFileHandle(name, { create: true })) as WorkerFile;
  const access = await file.createSyncAccessHandle();
  try {
    access.truncate(0);
    const written = access.write(bytes, { at: 0 });
    if (written < bytes.length)
      throw new DOMException(`${name}: not enough space to write it`, "QuotaExceededError");
    access.flush();
  } finally {
    access.close(); // otherwise the file stays locked
  }
}

/** The bytes of a file; null if it does not exist. */
export async function read(
  folder: FileSystemDirectoryHandle,
  name: string,
): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    const file = await (await folder.getFileHandle(name)).getFile();
    return new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    ignoreMissing(error);
    return null;
  }
}

/** The names of the files in a folder, sorted. */
export async function namesIn(folder: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const name of (folder as Listed).keys()) names.push(name);
  return names.sort();
}

/** The content of a JSON file; null if it does not exist or is not whole. */
export async function readJson<T>(folder: FileSystemDirectoryHandle, name: string): Promise<T | null> {
  const bytes = await read(folder, name);
  try {
    return bytes && (JSON.parse(new TextDecoder().decode(bytes)) as T);
  } catch {
    return null; // cut short by a crash
  }
}

export function writeJson(folder: FileSystemDirectoryHandle, name: string, value: unknown): Promise<void> {
  return write(folder, name, new TextEncoder().encode(JSON.stringify(value)));
}

/** A file in two slots. */
export class TwoSlots<T> {
  readonly #folder: FileSystemDirectoryHandle;
  readonly #name: string;
  readonly #check: (bytes: Uint8Array, name: string) => Promise<T>;
  readonly #order: (value: T) => number;
  #next = 0;

  /** `check` throws for bytes that are not whole; if both slots are, the one of greater `order` is newer. */
  constructor(
    folder: FileSystemDirectoryHandle,
    name: string,
    { check, order }: { check: (bytes: Uint8Array, name: string) => Promise<T>; order: (value: T) => number },
  ) {
    this.#folder = folder;
    this.#name = name;
    this.#check = check;
    this.#order = order;
  }

  /** The newest whole slot, with its bytes; null without one. The next write goes to the other slot. */
  async newest(): Promise<{ value: T; bytes: Uint8Array<ArrayBuffer> } | null> {
    let best: { value: T; bytes: Uint8Array<ArrayBuffer> } | null = null;
    for (const slot of [0, 1]) {
      const name = this.#slot(slot);
      const bytes = await read(this.#folder, name);
      if (!bytes) continue;
      const value = await this.#check(bytes, name).catch((error: unknown) => {
        if (error instanceof OldStateError) throw error; // it is whole, and stays as it is
        return null; // a crash cut it: the other slot is for that
      });
      if (value === null || (best && this.#order(value) <= this.#order(best.value))) continue;
      best = { value, bytes };
      this.#next = 1 - slot;
    }
    return best;
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await write(this.#folder, this.#slot(this.#next), bytes);
    this.#next = 1 - this.#next;
  }

  #slot(slot: number): string {
    return this.#name.replace(".", `.${"ab"[slot]}.`);
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof DOMException && error.name === "NotFoundError")) throw error;
}
