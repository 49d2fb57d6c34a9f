// Files that the browser keeps for this page (the origin private file system), for the worker. A file that must survive a
// crash in the middle of a write has two slots, written in turn: one of them is always whole.

import { OldStateError } from "../../model/errors.ts";

/** What TypeScript's library for pages lacks of a worker's files. */
interface Access {
  truncate(size: number): void;
  write(bytes: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  flush(): void;
  close(): void;
}
type WorkerFile = FileSystemFileHandle & { createSyncAccessHandle(): Promise<Access> };

/** A folder of the page's own; made where it is missing. */
export async function keptFolder(...path: string[]): Promise<FileSystemDirectoryHandle> {
  let folder = await navigator.storage.getDirectory();
  for (const name of ["protokd", ...path]) folder = await folder.getDirectoryHandle(name, { create: true });
  return folder;
}

/** Removes all that is kept of this folder; nothing where there is none. */
export async function forgetFolder(name: string): Promise<void> {
  const parent = await keptFolder();
  await parent.removeEntry(name, { recursive: true }).catch(ignoreMissing);
}

/** Writes a file whole, and waits until it is on the disk. */
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
    if (written < bytes.length) throw new DOMException(`${name}: no room for it`, "QuotaExceededError");
    access.flush();
  } finally {
    access.close(); // one that stays open locks the file
  }
}

/** The bytes of a file; null where there is none. */
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

/** Text as JSON; null where there is none, or not all of it. */
export async function readJson<T>(folder: FileSystemDirectoryHandle, name: string): Promise<T | null> {
  const bytes = await read(folder, name);
  try {
    return bytes && (JSON.parse(new TextDecoder().decode(bytes)) as T);
  } catch {
    return null; // a crash cut it
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

  /** `check` throws for bytes that are not whole; of two that are, that of the greater `order` is the newer. */
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

  /** The newest that is whole, with its bytes; null where there is none. The other is written next. */
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
