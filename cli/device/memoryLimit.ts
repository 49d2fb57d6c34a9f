// How much main memory this process may use: a container or a job of a cluster often has less than the
// machine, and a process that takes more is killed without a message.

import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { smallest } from "../../engine/values.ts";

/**
 * Bytes of memory that this process may use: the least of the machine's, and of the limits of its control
 * group and of those around it (Linux, versions 1 and 2). `root` is the file system's; tests have their own.
 */
export function memoryLimit(root = "/", machine = totalmem()): number {
  const limits = groupFolders(root).flatMap((folder) =>
    LIMIT_FILES.map((file) => limitIn(join(folder, file))),
  );
  return smallest(limits, machine);
}

/** Version 2 has the first two: above memory.high a process is slowed down to a crawl. */
const LIMIT_FILES = ["memory.max", "memory.high", "memory.limit_in_bytes"];

/** The folders of this process's memory groups, and of all groups around them. */
function groupFolders(root: string): string[] {
  const lines = textOf(join(root, "proc/self/cgroup")).split("\n");
  return lines.flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    if (controllers === "") return ["", "unified"].flatMap((mount) => around(root, mount, path));
    return controllers!.split(",").includes("memory") ? around(root, "memory", path) : [];
  });
}

/** The folder of the group `path` and of all around it. A container sees its own group as the outermost. */
function around(root: string, mount: string, path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== "..");
  return [...parts.keys(), parts.length].map((n) => join(root, "sys/fs/cgroup", mount, ...parts.slice(0, n)));
}

/** The number in a file; Infinity for "max", or without a file. */
function limitIn(path: string): number {
  const text = textOf(path).trim();
  return /^\d+$/.test(text) && Number(text) > 0 ? Number(text) : Infinity;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
