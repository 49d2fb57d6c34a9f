// Shared by all commands: reads the options with commander, prints the message of an error (its stack only
// with --debug), and exits with the code of its kind.

import { realpathSync } from "node:fs";
import { homedir } from "node:os";
import { fileURLToPath } from "node:url";
import { type Command, CommanderError, type OptionValues } from "commander";
import { DISK_FAULTS } from "./diskFaults.ts";
import { complain, outliveReaders, speak } from "./console.ts";
import { heedSignals } from "./stopSignals.ts";

/** Help of --retune, in every command that has it. */
export const RETUNE_HELP =
  "measure again which kernels are fastest on this adapter; PROTOKD_TUNING=off uses the default ones";

/** Exit codes by the name of the error, so that no command loads a module for its error class alone. */
const exitCodes: Readonly<Record<string, number>> = {
  UsageError: 2,
  DataError: 3,
  CheckpointError: 3,
  NoAdapterError: 4,
  GpuError: 4,
  DivergedError: 5,
  CollapseError: 5,
  NonFiniteError: 5,
  DiskError: 6,
  BusyError: 75, // EX_TEMPFAIL of sysexits.h: another try may succeed
  HangupError: 129,
  InterruptedError: 130,
  TerminatedError: 143,
};

/** The same, for the end of every command's help. */
const EXIT_CODES = `
Exit codes: 0 done, 2 usage, 3 data or checkpoint, 4 GPU, 5 training diverged or collapsed, 6 disk,
            75 another process works in the folder, 129 stopped by a closed terminal, 130 by Ctrl-C,
            143 by SIGTERM, 1 any other error`;

/** System calls that only a write makes; a read that is denied fails in `open` or `scandir`. */
const WRITES = /^(mkdir|rename|unlink|rm|rmdir|write|copyfile|link|chmod|ftruncate)$/;

/** Example lines for the end of a command's help. */
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
  outliveReaders();
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
    await program.parseAsync(argv.map(fromHome), { from: "user" });
    return Number(process.exitCode ?? 0); // a command may have set its own
  } catch (error) {
    if (error instanceof CommanderError) return reportUsage(program, error, argv);
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    const fault = error instanceof Error && !exitCodes[name] ? systemFault(error) : null;
    complain(program.opts<{ debug?: boolean }>().debug ? (stack ?? message) : (fault?.message ?? message));
    return exitCodes[name] ?? fault?.exitCode ?? 1;
  }
}

/** Replaces the ~ of a path by the home folder, where the shell has not: in quotes, and in --data=~/x. */
export function fromHome(argument: string): string {
  return argument.replace(/^(--[a-z-]+=)?~(?=$|[/\\])/, (_, flag: string = "") => flag + homedir());
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

/**
 * The message and the exit code for an error of the system: of a file that could not be read, or of the disk.
 * Null for any other error.
 */
export function systemFault(
  error: NodeJS.ErrnoException & { dest?: string },
): { message: string; exitCode: number } | null {
  const { code = "", syscall = "", path, dest } = error;
  const name = dest ?? path;
  if (WRITES.test(syscall)) {
    const why = DISK_FAULTS[code] ?? (syscall === "mkdir" ? NO_FOLDER[code] : undefined);
    return why === undefined
      ? null
      : { message: `${name ?? "a file"}: could not be written (${code}): ${why}`, exitCode: 6 };
  }
  const why = READ_FAULTS[code];
  if (why !== undefined && READS.test(syscall))
    return { message: `${name ?? "a file"}: could not be read (${code}): ${why}`, exitCode: 3 };
  const full = DISK_FAULTS[code];
  if (full === undefined || DENIALS.has(code)) return null;
  return { message: `${name ?? "a file"}: could not be written (${code}): ${full}`, exitCode: 6 };
}

const READS = /^(open|read|stat|lstat|scandir|opendir|readlink|realpath|access)$/;
const DENIALS = new Set(["EACCES", "EPERM"]);
const DENIED = "you may not read it: change its permissions";

/** The reasons of a failed read. */
const READ_FAULTS: Readonly<Record<string, string>> = {
  EACCES: DENIED,
  EPERM: DENIED,
  ENOENT: "nothing is there",
  ENOTDIR: "a file is in place of a folder on its path",
  EISDIR: "a folder is in its place",
  ELOOP: "its links lead in a circle",
  ENAMETOOLONG: "its name is too long",
  EIO: "the disk failed",
};

/** The reasons why a folder could not be made, beside those of the disk. */
const NO_FOLDER: Readonly<Record<string, string>> = {
  ENOENT: "the disk is read-only, or the folder around it is gone: choose another folder",
  ENOTDIR: "a file is in place of a folder on its path: choose another folder",
  EEXIST: "a file is in its place: choose another folder",
  ENAMETOOLONG: "its name is too long",
};

/** Prints commander's message and where to find the right option; help and version are not errors. */
function reportUsage(
  program: Command,
  { code, exitCode, message }: CommanderError,
  argv: readonly string[],
): number {
  if (exitCode === 0) return 0;
  complain(message.replace(/^error: /, "") + hint(program, { code, message }, argv));
  complain(`node cli/${program.name()}.js --help shows how to use it`);
  return 2;
}

/** Commander names the nearest option, but not if none is near, nor if a required one is missing too. */
function hint(
  program: Command,
  { code, message }: { code: string; message: string },
  argv: readonly string[],
): string {
  if (code === "commander.missingMandatoryOptionValue") {
    const unknown = program.parseOptions([...argv]).unknown.filter((text) => text.startsWith("-"));
    return unknown.length > 0 ? `, and ${unknown.join(", ")} is not an option` : "";
  }
  if (code !== "commander.unknownOption" || /did you mean/i.test(message)) return "";
  return `: the options are ${program.options.map(({ long, short }) => long ?? short).join(", ")}`;
}
