// Ctrl-C, SIGTERM as schedulers send it, and SIGHUP as a closed terminal does: the first one stops a
// training after it is saved, the second ends the process at once. A command without a training ends at the
// first, with the signal's exit code. (Without a handler, the first process of a container would ignore
// SIGTERM.)

import { spawn } from "node:child_process";
import { constants } from "node:os";
import { complain } from "./console.ts";

const SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM"] as const;
export type StopSignal = (typeof SIGNALS)[number];

const ERRORS = {
  SIGHUP: "HangupError",
  SIGINT: "InterruptedError",
  SIGTERM: "TerminatedError",
} as const satisfies Record<StopSignal, string>;

/** A command was stopped by a signal; the error's name decides on the exit code, 129, 130 or 143. */
export class StoppedError extends Error {
  override readonly name: (typeof ERRORS)[StopSignal];

  constructor(signal: StopSignal, message: string) {
    super(message);
    this.name = ERRORS[signal];
  }
}

let heeding = false;
let listener: ((signal: StopSignal) => void) | null = null;

/** Handles the signals from now on; later calls do nothing. */
export function heedSignals(): void {
  if (heeding) return;
  heeding = true;
  for (const signal of SIGNALS) process.on(signal, () => heed(signal));
}

function heed(signal: StopSignal): void {
  if (listener) return listener(signal);
  complain(`${signal}: stopped; finished files are kept`);
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
    if (received && signal === "SIGHUP") return; // the shell and the kernel both send it
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

/**
 * Ends the process with the signal's exit code. Node waits for its threads then; where one hangs, the signal
 * itself ends the process three seconds later, or at once if it comes again.
 */
function end(signal: StopSignal): never {
  for (const name of SIGNALS) process.removeAllListeners(name);
  if (process.platform !== "win32") {
    const later = `sleep 3; kill -s ${signal.slice(3)} ${process.pid}`;
    spawn("sh", ["-c", later], { detached: true, stdio: "ignore" })
      .on("error", () => undefined)
      .unref();
  }
  process.exit(128 + constants.signals[signal]);
}

/** The command line that resumes a stopped command: itself, with --resume where it does not resume anyway. */
export function resumeCommand(argv: readonly string[] = process.argv): string {
  const flags = argv.slice(2).filter((flag) => flag !== "--resume" && flag !== "--overwrite");
  const script = SCRIPT.exec(argv[1] ?? "")?.[0] ?? "cli/train.js";
  const resumed = script === "cli/study.js" ? flags : [...flags, "--resume"];
  return `node ${script} ${shellWords(resumed)}`;
}

/** Words of a command line, in quotation marks where they need them. */
export function shellWords(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(" ");
}

const SCRIPT = /cli\/\w+\.js$/;
