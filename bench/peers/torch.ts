// Times PyTorch on the CPU, if a python3 has it: not a peer, but a familiar reference.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { vnetLayers } from "../../model/networks/layers.ts";
import { type Task, Unsupported } from "./engine.ts";

/** Returns the milliseconds of each task, and PyTorch's version. Throws an Unsupported without PyTorch. */
export function timeTorch(tasks: readonly Task[]): { version: string; ms: number[] } {
  const python = ["python3", "/usr/bin/python3"].find(
    (command) => spawnSync(command, ["-c", "import torch"]).status === 0,
  );
  if (!python) throw new Unsupported("no python3 with torch");
  const script = fileURLToPath(new URL("pytorch.py", import.meta.url));
  const input = tasks.map((task) => `${JSON.stringify(described(task))}\n`).join("");
  const { status, stdout, stderr } = spawnSync(python, [script], { input, encoding: "utf8" });
  if (status !== 0) throw new Unsupported(`pytorch.py: ${stderr.trim().split("\n").at(-1)}`);
  const [version = "", ...lines] = stdout.trim().split("\n");
  return { version, ms: lines.map(Number) };
}

/** A task's shapes, without values: the script draws its own. */
function described(task: Task): object {
  const { op, pass, x } = task;
  const shapes = { op, pass, x: x.shape };
  if (task.op === "instanceNorm") return shapes;
  if (task.op === "conv3d") return { ...shapes, weight: task.weight.shape };
  return { ...shapes, classes: task.config.classes, layers: [...vnetLayers(task.config)] };
}
