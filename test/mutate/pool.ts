// Processes that try mutants, one for each core. A process that hangs is killed, and one that a mutant left
// in disorder
// is replaced: then a new process tries the mutant once more, before any other.

import { type ChildProcess, fork } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Mutant, Recorded, Reply, Request, TestId } from "./worker.ts";

export type Outcome = "killed" | "survived" | "invalid" | "timed out";
export type Verdict = { outcome: Outcome; by: TestId | null };

const PATIENCE = 30_000; // milliseconds beyond ten times a test's own: a pipeline takes seconds to compile
const LIFE = 500; // mutants that a process tries: memory grows with the references
/** A cache of its own for what Mesa's drivers compile. */
const CACHE = join(tmpdir(), "protokd-mutate-cache");

class Lane {
  #process: ChildProcess | null = null;
  #tried = 0;

  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Runs the tests of a file without a mutant. */
  async record(file: string): Promise<Recorded[]> {
    const reply = await this.#ask({ kind: "record", file }, 600_000);
    if (typeof reply === "object" && reply.kind === "recorded") return reply.tests;
    throw new Error(`${file}: its tests ${reply === "late" ? "take too long" : "end their process"}`);
  }

  async try(mutant: Mutant, tests: readonly Recorded[]): Promise<Verdict> {
    const loading = mutant.where === "static";
    if (loading || this.#tried >= LIFE) this.end();
    for (;;) {
      const first = this.#tried === 0;
      this.#tried++;
      const reply = await this.#ask(
        { kind: "try", mutant, tests },
        PATIENCE,
        tests,
        loading ? mutant.id : NaN,
      );
      const tried = typeof reply === "object" && reply.kind === "tried" ? reply : null;
      if (!tried?.clean || loading) this.end();
      if (reply === "late") return { outcome: "timed out", by: null };
      if (tried && (tried.clean || first)) return tried;
      if (!tried && first) return { outcome: "killed", by: null }; // the mutant ends its process
    }
  }

  end(): void {
    this.#process?.kill("SIGKILL");
    this.#process = null;
    this.#tried = 0;
  }

  #ask(
    request: Request,
    patience: number,
    tests: readonly Recorded[] = [],
    loaded = NaN,
  ): Promise<Reply | "late" | "gone"> {
    const child = (this.#process ??= fork(join(this.#folder, "test/mutate/worker.js"), [String(loaded)], {
      cwd: this.#folder,
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      env: { ...process.env, MESA_SHADER_CACHE_DIR: CACHE },
    }));
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout;
      const wait = (milliseconds: number) => {
        clearTimeout(timer);
        timer = setTimeout(() => answer("late"), milliseconds);
      };
      const answer = (reply: Reply | "late" | "gone") => {
        clearTimeout(timer);
        child.off("message", hear).off("exit", leave);
        if (typeof reply === "string") this.end();
        resolve(reply);
      };
      const hear = (reply: Reply) => {
        if (reply.kind !== "trying") return answer(reply);
        const { file, index } = reply.test;
        const test = tests.find((t) => t.file === file && t.index === index);
        wait(patience + 10 * (test?.milliseconds ?? 0));
      };
      const leave = () => answer("gone");
      child.on("message", hear).on("exit", leave);
      wait(patience + (this.#tried <= 1 ? PATIENCE : 0));
      child.send(request);
    });
  }
}

/**
 * Calls `work` for each item, each lane taking the next one when it is free; results in the order of the
 * items.
 */
export async function onLanes<Item, Result>(
  { folder, lanes }: { folder: string; lanes: number },
  items: readonly Item[],
  work: (lane: Lane, item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(lanes, items.length) }, async () => {
      const lane = new Lane(folder);
      try {
        for (let i = next++; i < items.length; i = next++) results[i] = await work(lane, items[i]!);
      } finally {
        lane.end();
      }
    }),
  );
  return results;
}
