// Files from a file input, a folder, or a drop, each by its path in what was chosen.

import type { NamedFile } from "./protocol.ts";

/** What an <input type=file> holds. */
export function inputFiles(input: HTMLInputElement): NamedFile[] {
  return Array.from(input.files ?? [], (file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** What was dropped, folders with all that is in them. */
export async function droppedFiles(data: DataTransfer): Promise<NamedFile[]> {
  // Entries must be taken before the first await: the list is emptied then.
  const entries = Array.from(data.items, (item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const found: NamedFile[] = [];
  for (const entry of entries) await collect(entry, found);
  return found;
}

async function collect(entry: FileSystemEntry, found: NamedFile[]): Promise<void> {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    found.push({ path, file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (!some.length) return; // they come a hundred at a time
    for (const one of some) await collect(one, found);
  }
}

/** The folder that all paths share, taken off them: data sets are recognised by paths within the folder. */
export function within(files: readonly NamedFile[]): { name: string; files: NamedFile[] } {
  const top = files[0]?.path.split("/")[0] ?? "";
  if (!files.length || !files.every(({ path }) => path.startsWith(`${top}/`))) {
    return { name: "the files chosen", files: [...files] };
  }
  return { name: top, files: files.map(({ path, file }) => ({ path: path.slice(top.length + 1), file })) };
}
