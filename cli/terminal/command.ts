// What every command does alike: read its options with commander, print an error's message alone (its stack
// only with --debug), and exit with a code that says whose turn it is: 2 usage, 3 data, 4 GPU, 5 numbers,
// 6 disk, 130 and 143 stopped, 1 else.

import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Command, CommanderError, type OptionValues } from "commander";
import { speak } from "./console.ts";
import { heedSignals } from "./stopSignals.ts";

/** What --retune does, in every command that has it. */
export const RETUNE_HELP = "choose the kernels for this adapter anew; PROTOKD_TUNING=off takes the default";

/** Exit codes by the name of the error, so that no command loads a module for its error class alone. */
const exitCodes: Readonly<Record<string, number>> = {
  ...{ UsageError: 2, DataError: 3, CheckpointError: 3 },
  ...{ NoAdapterError: 4, GpuError: 4, DivergedError: 5, NonFiniteError: 5, DiskError: 6 },
  ...{ InterruptedError: 130, TerminatedError: 143 },
};

/** The same, for the end of every command's help. */
const EXIT_CODES = `
Exit codes: 0 done, 2 usage, 3 data or checkpoint, 4 GPU, 5 numbers that are none, 6 disk,
            130 stopped by Ctrl-C, 143 by SIGTERM, 1 a fault of the program`;

/** What the system says of a disk that cannot be written to, whoever was writing. */
export const DISK_FAULTS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: free some space",
  EDQUOT: "your quota of the disk is used up: free some space",
  EFBIG: "the file is larger than the disk allows",
  EROFS: "the disk is read-only: choose another folder",
  EIO: "the disk failed",
};

/** Where permission to do this is wanting, something was to be written; reading says `open` or `scandir`. */
const WRITES = /^(mkdir|rename|unlink|rm|rmdir|write|copyfile|link|chmod|ftruncate)$/;

/** How a command is used, for the end of its help. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}

/**
 * Parses `argv` and runs the action. Returns the exit code: `process.exitCode = await runCommand(...)`.
 * Adds --debug to the program.
 */
export async function runCommand<Options extends OptionValues>(
  program: Command,
  action: (options: Options) => Promise<void> | void,
  argv: readonly string[] = process.argv.slice(2),
): Promise<number> {
  heedSignals();
  if (!process.stdout.listeners("error").includes(closedPipe)) process.stdout.on("error", closedPipe);
  program
    .option("--debug", "print the stack of an error")
    .addHelpText("after", EXIT_CODES)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .action(() => {
      speak(program.opts());
      return action(program.opts<Options>());
    });
  try {
    await program.parseAsync(argv, { from: "user" });
    return Number(process.exitCode ?? 0); // a command may have set its own
  } catch (error) {
    if (error instanceof CommanderError) return reportUsage(program, error, argv);
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    const fault = error instanceof Error && !exitCodes[name] ? diskFault(error) : null;
    console.error(program.opts<{ debug?: boolean }>().debug ? stack : (fault ?? message));
    return exitCodes[name] ?? (fault === null ? 1 : 6);
  }
}

/** Whoever read the output, as head, has seen enough: that is no error. */
function closedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
}

/** True in the module that Node was started with: `if (isMain(import.meta.url))`. */
export function isMain(moduleUrl: string): boolean {
  const started = process.argv[1];
  if (started === undefined) return false;
  const paths = [started, `${started}.js`, fileURLToPath(moduleUrl)].map((path) => {
    try {
      return realpathSync(path);
    } catch {
      return path;
    }
  });
  return paths.slice(0, 2).includes(paths[2]!);
}

/** What is wrong with the disk, if that is what an error of the system says. */
function diskFault(error: NodeJS.ErrnoException & { dest?: string }): string | null {
  const { code = "", syscall = "", path, dest } = error;
  const denied = (code === "EACCES" || code === "EPERM") && WRITES.test(syscall);
  const why = denied
    ? "it may not be written to: mend its permissions, or choose another"
    : DISK_FAULTS[code];
  if (why === undefined || syscall === "read") return null;
  return `${dest ?? path ?? "a file"}: could not be written (${code}): ${why}`;
}

/** Help and version are no errors; all else gets commander's message, and where to find the right option. */
function reportUsage(
  program: Command,
  { code, exitCode, message }: CommanderError,
  argv: readonly string[],
): number {
  if (exitCode === 0) return 0;
  console.error(message.replace(/^error: /, "") + hint(program, { code, message }, argv));
  console.error(`node cli/${program.name()}.js --help shows how to use it`);
  return 2;
}

/** Commander names the nearest option, but not if none is near, nor where a required one is missing too. */
function hint(
  program: Command,
  { code, message }: { code: string; message: string },
  argv: readonly string[],
): string {
  if (code === "commander.missingMandatoryOptionValue") {
    const unknown = program.parseOptions([...argv]).unknown.filter((text) => text.startsWith("-"));
    return unknown.length > 0 ? `, and ${unknown.join(", ")} is no option` : "";
  }
  if (code !== "commander.unknownOption" || /did you mean/i.test(message)) return "";
  return `: known are ${program.options.map(({ long, short }) => long ?? short).join(", ")}`;
}
