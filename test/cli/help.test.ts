// All commands alike: help with examples and exit codes, and the code for a disk that cannot be written to.

import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runCommand } from "../../cli/terminal/command.ts";
import { run } from "../support/command.ts";

const test = suite("help");
const cli = new URL("../../cli/", import.meta.url);
const commands = readdirSync(cli)
  .filter(
    (name) => /\.ts$/.test(name) && / = await runCommand/.test(readFileSync(new URL(name, cli), "utf8")),
  )
  .map((name) => name.replace(/\.ts$/, ""))
  .filter((name) => name !== "command"); // only its comment has such a line

test("every command has -h, with exit codes, and with examples of itself that use only its options", () => {
  assert.ok(["train", "predict", "evaluate", "export", "doctor"].every((name) => commands.includes(name)));
  for (const name of commands) {
    const { status, stdout, stderr } = run(name, "-h");
    assert.equal([status, stderr], [0, ""], name);
    assert.match(stdout, /-h, --help/, name);
    assert.match(
      stdout,
      /\nExit codes: 0 done, 2 usage, .* 5 training diverged .*, 6 disk,\n +75 another process .*, 129 stopped .*, 130 by/,
      name,
    );
    const [options, shown] = stdout.split("\nExamples:\n");
    const lines = shown?.split("\n\n")[0]!.split("\n") ?? [];
    assert.ok(lines.length > 0, `${name} has no examples`);
    for (const line of lines) {
      assert.ok(line.startsWith(`  node cli/${name}.js`) || line === `  npm ${name}`, `${name}: ${line}`);
      const flags = line.match(/ --?[a-z][a-z-]*/g) ?? [];
      for (const flag of flags) assert.ok(options!.includes(flag), `${name}: ${flag} in ${line}`);
    }
  }
});

test("a disk that is full, read-only or not permitted gives exit code 6 and names the file", async () => {
  const system = (code: string, syscall: string, path?: string) =>
    Object.assign(new Error(`${code}: no`), { code, syscall, ...(path && { path }) });
  const full = await outcome(() => Promise.reject(system("ENOSPC", "write", "runs/a.json")));
  assert.equal(full, [6, "runs/a.json: could not be written (ENOSPC): the disk is full: free some space"]);
  const fixed = await outcome(() => Promise.reject(system("EROFS", "mkdir", "runs")));
  assert.equal(fixed, [
    6,
    "runs: could not be written (EROFS): the disk is read-only: choose another folder",
  ]);
  assert.is((await outcome(() => Promise.reject(system("EACCES", "mkdir", "runs"))))[0], 6);
  assert.is((await outcome(() => Promise.reject(system("EACCES", "scandir", "runs"))))[0], 3, "a read");
  assert.is((await outcome(() => Promise.reject(system("EIO", "read"))))[0], 3);
  if (existsSync("/dev/full")) {
    const real = await outcome(() => void writeSync(openSync("/dev/full", "w"), "text"));
    assert.equal(real, [6, "a file: could not be written (ENOSPC): the disk is full: free some space"]);
  } else console.log("SKIPPED: a disk that is really full: there is no /dev/full");
  assert.is(
    (await outcome(() => void mkdirSync(fileURLToPath(import.meta.url))))[0],
    6,
    "a file is in the folder's place",
  );
});

test.run();

/** The exit code and the message of a command with this action. */
async function outcome(act: () => Promise<unknown> | void): Promise<[number, string]> {
  const { error } = console;
  let message = "";
  console.error = (line: string) => void (message = line);
  try {
    return [await runCommand(new Command("test"), async () => void (await act()), []), message];
  } finally {
    console.error = error;
  }
}
