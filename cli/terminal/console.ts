// The output of a command on stdout, in one of three ways: text with progress; with --quiet the results
// alone, and warnings on stderr; with --json one object a line and nothing else. Errors go to stderr in all.
// All output of cli/ passes here: names of files, cases and tensors may hold a terminal's control characters.

import { type Command, Option } from "commander";

/** How a command prints. */
export type Voice = "text" | "quiet" | "json";

let voice: Voice = "text";

/** Adds --quiet and --json to a command; runCommand() obeys them. */
export function withVoices(program: Command): Command {
  return program
    .addOption(new Option("--quiet", "print results and errors alone").conflicts("json"))
    .addOption(new Option("--json", "print one JSON object a line, and nothing else"));
}

/** Sets how this process prints, by the flags of its command. */
export function speak({ quiet = false, json = false }: { quiet?: boolean; json?: boolean }): void {
  voice = json ? "json" : quiet ? "quiet" : "text";
}

/**
 * Lets a command outlive whoever reads its output: `head` that has seen enough, `tee` that Ctrl-C ended too,
 * a terminal that was closed, a full disk below a log. The rest of the output is lost; the command continues,
 * saves, and exits with its own code.
 */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr])
    if (!stream.listeners("error").includes(ignore)) stream.on("error", ignore);
}

function ignore(): void {}

/**
 * Returns a text in which control characters, and those that turn its direction, are visible: as \x1b, or as
 * \u202e. Line breaks and tabs stay.
 */
export function visible(text: string): string {
  return text.replace(COMMANDING, (character) => {
    const code = character.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u${code}` : `\\x${code.padStart(2, "0")}`;
  });
}

const COMMANDING = /(?![\n\t])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** Prints on stdout, in every voice. */
export function print(text: string): void {
  console.log(visible(text));
}

/** Prints an error on stderr, in every voice. */
export function complain(text: string): void {
  console.error(visible(text));
}

/** Returns an object as JSON, in which the same characters are escaped. */
export function jsonText(content: object, space?: number): string {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(content, null, space).replace(COMMANDING, escaped);
}

/** Prints a line about progress: in text alone. */
export function say(line: string): void {
  if (voice === "text") print(line);
}

/** Prints a warning about the user's data or settings: with --quiet too, on stderr. */
export function warn(line: string): void {
  if (voice === "text") print(`  ${line}`);
  else if (voice === "quiet") complain(line);
  else emit("warning", { text: line });
}

/** Prints a result, a line or a table: in text and with --quiet. */
export function result(text: string): void {
  if (voice !== "json") print(text);
}

/** Prints one object with --json; `type` tells objects apart, NaN and infinity become null. */
export function emit(type: string, content: object): void {
  if (voice === "json") print(jsonText({ type, ...content }));
}

/** Shows a line on the terminal of stderr, in place of the one before; "" clears it. */
export function showTransient(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${visible(line)}`);
}

/** Shows a line on the terminal of stdout, in place of the one before; "" clears it. */
export function overwrite(line: string): void {
  if (isLively()) process.stdout.write(`\r\x1b[K${visible(line)}`);
}

/** True if stdout is a terminal where a line may be overwritten, as progress bars do. */
export function isLively(): boolean {
  return voice === "text" && process.stdout.isTTY;
}
