// What every command does alike: read its options with commander, print an error's message alone (its stack
// only with --debug), and exit with a code that says whose turn it is: 2 usage, 3 data, 4 GPU, 5 numbers,
// 6 disk, 130 and 143 stopped, 1 else.

import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Command, CommanderError, type OptionValues } from "commander";
import { speak } from "./console.ts";

/** Thrown by a command whose options are wrong in a way that commander cannot tell. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What --fast does, in every command that has it. */
export const FAST_HELP = "leave out Dawn's bounds checks; PROTOKD_TOGGLES=fast does the same";

/** And --retune. */
export const RETUNE_HELP = "choose the kernels for this adapter anew; PROTOKD_TUNING=off takes the default";

/** Exit codes by the name of the error, so that no command loads a module for its error class alone. */
const exitCodes: Readonly<Record<string, number>> = {
  ...{ UsageError: 2, DataError: 3, CheckpointError: 3 },
  ...{ NoAdapterError: 4, GpuError: 4, DivergedError: 5, DiskError: 6 },
  ...{ InterruptedError: 130, TerminatedError: 143 },
};

/**
 * Parses `argv` and runs the action. Returns the exit code: `process.exitCode = await runCommand(...)`.
 * Adds --debug to the program.
 */
export async function runCommand<Options extends OptionValues>(
  program: Command,
  action: (options: Options) => Promise<void> | void,
  argv: readonly string[] = process.argv.slice(2),
): Promise<number> {
  program
    .option("--debug", "print the stack of an error")
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
    console.error(program.opts<{ debug?: boolean }>().debug ? stack : message);
    return exitCodes[name] ?? 1;
  }
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
