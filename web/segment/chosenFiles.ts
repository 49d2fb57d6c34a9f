// Files from a file input, a folder, or a drop, each with its path in the chosen folder.

import { DataError } from "../../data/errors.ts";
import { byId } from "../ui/dom.ts";
import type { NamedFile } from "../worker/protocol.ts";

/** Calls `take` with a reader of files dropped on the page; marks `place` while files are over it. */
export function onDrop(place: HTMLElement, take: (files: () => Promise<NamedFile[]>) => void): void {
  const over = (on: boolean) => (event: Event) => {
    event.preventDefault();
    place.classList.toggle("over", on);
  };
  place.addEventListener("dragover", over(true));
  place.addEventListener("dragleave", over(false));
  // Anywhere on the page: the browser would open a file that misses the place instead of the page.
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    over(false)(event);
    const { dataTransfer } = event;
    if (dataTransfer) take(() => droppedFiles(dataTransfer));
  });
}

/** Calls `take` with the files that the user chooses in the file input of this id. */
export function onChoice(id: string, take: (files: NamedFile[]) => void): void {
  const input = byId<HTMLInputElement>(id);
  input.addEventListener("change", () => {
    const files = inputFiles(input);
    input.value = ""; // so that the same files can be chosen again
    if (files.length) take(files);
  });
}

/** The files of an <input type=file>. */
export function inputFiles(input: HTMLInputElement): NamedFile[] {
  return Array.from(input.files ?? [], (file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** The dropped files, and all files in dropped folders. Throws a DataError if one cannot be read. */
async function droppedFiles(data: DataTransfer): Promise<NamedFile[]> {
  // Before the first await: the browser empties the list then.
  const dropped = Array.from(data.items, (item) => ({
    entry: item.webkitGetAsEntry(),
    file: item.getAsFile(), // a file from another program has no entry
  }));
  const found: NamedFile[] = [];
  for (const { entry, file } of dropped) {
    if (entry) await collect(entry, found);
    else if (file) found.push({ path: file.name, file });
  }
  return found;
}

async function collect(entry: FileSystemEntry, found: NamedFile[]): Promise<void> {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    found.push({ path, file: await answer(path, (...to) => (entry as FileSystemFileEntry).file(...to)) });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await answer<FileSystemEntry[]>(path, (...to) => reader.readEntries(...to));
    if (!some.length) return; // entries come a hundred at a time
    for (const one of some) await collect(one, found);
  }
}

/** The result of a call of the file system, as a promise. */
function answer<T>(
  path: string,
  ask: (resolve: (answer: T) => void, reject: (error: unknown) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) =>
    ask(resolve, (error) => {
      const why = error instanceof Error ? error.message : String(error);
      reject(new DataError(`${path}: could not be read (${why}): choose it with the button instead`));
    }),
  );
}

/** Removes the folder that all paths share, if any: data sets are recognised by paths inside their folder. */
export function within(files: readonly NamedFile[]): { name: string; files: NamedFile[] } {
  const top = files[0]?.path.split("/")[0] ?? "";
  if (!files.length || !files.every(({ path }) => path.startsWith(`${top}/`))) {
    return { name: "the chosen files", files: [...files] };
  }
  return { name: top, files: files.map(({ path, file }) => ({ path: path.slice(top.length + 1), file })) };
}
