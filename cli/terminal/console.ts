// What a command says on stdout, in one of three ways: as text with its progress; with --quiet the results alone; with
// --json one object a line and nothing else. Errors go to stderr in all of them.

import { type Command, Option } from "commander";

/** How a command speaks. */
export type Voice = "text" | "quiet" | "json";

let voice: Voice = "text";

/** Adds --quiet and --json to a command; runCommand does what they say. */
export function withVoices(program: Command): Command {
  return program
    .addOption(new Option("--quiet", "print results and errors alone").conflicts("json"))
    .addOption(new Option("--json", "print one JSON object a line, and nothing else"));
}

/** Sets the voice of this process, by the flags of a command. */
export function speak({ quiet = false, json = false }: { quiet?: boolean; json?: boolean }): void {
  voice = json ? "json" : quiet ? "quiet" : "text";
}

/** A line on what is going on: for text alone. */
export function say(line: string): void {
  if (voice === "text") console.log(line);
}

/** A line or table that the command was called for: all but --json, which has its own. */
export function result(text: string): void {
  if (voice !== "json") console.log(text);
}

/** What the line of --json says: `type` tells objects apart; NaN and infinity become null. */
export function emit(type: string, content: object): void {
  if (voice === "json") console.log(JSON.stringify({ type, ...content }));
}

/** Whether stdout is a terminal on which lines may grow and bars move. */
export function isLively(): boolean {
  return voice === "text" && process.stdout.isTTY;
}
