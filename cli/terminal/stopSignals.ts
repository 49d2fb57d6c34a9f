// Ctrl-C, and SIGTERM as schedulers send it: the first asks a training to come to rest and be saved, the second ends
// the process at once. Where nobody listens either ends it, with its exit code: the first process of a container would
// not even hear SIGTERM otherwise.

import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
export type StopSignal = (typeof SIGNALS)[number];

/** The error of a command that was stopped; its name says which exit code it has: 130 or 143. */
export class StoppedError extends Error {
  override readonly name: "InterruptedError" | "TerminatedError";

  constructor(signal: StopSignal, message: string) {
    super(message);
    this.name = signal === "SIGINT" ? "InterruptedError" : "TerminatedError";
  }
}

let heeding = false;
let listener: ((signal: StopSignal) => void) | null = null;

/** What a signal does from now on, once for all. */
export function heedSignals(): void {
  if (heeding) return;
  heeding = true;
  for (const signal of SIGNALS) process.on(signal, () => heed(signal));
}

function heed(signal: StopSignal): void {
  if (listener) return listener(signal);
  console.error(`${signal}: ended; what was finished stays`);
  end(signal);
}

/** Listens until `close`: calls `stop` at the first signal, which is then `received`; exits at the second. */
export function listenForStop(stop: (signal: StopSignal) => void): {
  readonly received: StopSignal | null;
  close: () => void;
} {
  let received: StopSignal | null = null;
  heedSignals();
  listener = (signal) => {
    if (received) end(signal);
    received = signal;
    stop(signal);
  };
  return {
    get received() {
      return received;
    },
    close: () => (listener = null),
  };
}

function end(signal: StopSignal): never {
  process.exit(128 + constants.signals[signal]);
}

/** How to go on with a command that was stopped: itself, with --resume. */
export function resumeCommand(argv: readonly string[] = process.argv): string {
  const flags = argv.slice(2).filter((flag) => flag !== "--resume" && flag !== "--overwrite");
  const words = [...flags, "--resume"].map((word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word),
  );
  return `node ${SCRIPT.exec(argv[1] ?? "")?.[0] ?? "cli/train.js"} ${words.join(" ")}`;
}

const SCRIPT = /cli\/\w+\.js$/;
