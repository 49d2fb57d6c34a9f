// What all commands have in common: help with examples and exit codes, and the code for a disk that cannot be written.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runCommand } from "../cli/command.ts";

const test = suite("help");
const cli = new URL("../cli/", import.meta.url);
const commands = readdirSync(cli).filter(
  (name) => name.endsWith(".ts") && /new Command\(/.test(readFileSync(new URL(name, cli), "utf8")),
);

test("every command has -h, with examples that start it and the exit codes", () => {
  const names = commands.map((name) => name.replace("trainFlags", "train").replace(/\.ts$/, ""));
  assert.ok(names.length >= 8, names.join());
  for (const name of names) {
    const script = fileURLToPath(new URL(`${name}.js`, cli));
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, "-h"], { encoding: "utf8" });
    assert.equal([status, stderr], [0, ""], name);
    const used = name === "start" ? "npm start" : `node cli/${name}.js`;
    assert.ok(stdout.includes(`\nExamples:\n  ${used}`), stdout);
    assert.match(stdout, /\nExit codes: 0 done, 2 usage, .* 6 disk,\n +130 stopped/, name);
    assert.match(stdout, /-h, --help/, name);
  }
});

test("a mistake in an example would be noticed: each one's options are known", () => {
  for (const name of commands) {
    const text = readFileSync(new URL(name, cli), "utf8");
    for (const [, script, line] of text.matchAll(/"node cli\/(\w+)\.js ([^"]*)"/g)) {
      const source = readFileSync(new URL(`${script === "train" ? "settings" : script}.ts`, cli), "utf8");
      for (const [, flag] of line!.matchAll(/--([a-z-]+)/g)) {
        const key = flag!.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
        const known = source.includes(`--${flag}`) || source.includes(`${key}: row(`);
        assert.ok(known || flag === "config", `${script}: --${flag}`);
      }
    }
  }
});

test("a disk that is full, read-only or closed to us gives exit code 6, and says which file", async () => {
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
  assert.is(
    (await outcome(() => Promise.reject(system("EACCES", "scandir", "runs"))))[0],
    1,
    "that is reading",
  );
  assert.is((await outcome(() => Promise.reject(system("EIO", "read"))))[0], 1);
  if (existsSync("/dev/full")) {
    const real = await outcome(() => void writeSync(openSync("/dev/full", "w"), "text"));
    assert.equal(real, [6, "a file: could not be written (ENOSPC): the disk is full: free some space"]);
  } else console.log("SKIPPED: a disk that is really full: there is no /dev/full");
  assert.is(
    (await outcome(() => void mkdirSync(fileURLToPath(import.meta.url))))[0],
    1,
    "there is one already",
  );
});

test.run();

/** The exit code of a command that does this, and what it says. */
async function outcome(act: () => Promise<unknown> | void): Promise<[number, string]> {
  const { error } = console;
  let said = "";
  console.error = (line: string) => void (said = line);
  try {
    return [await runCommand(new Command("test"), async () => void (await act()), []), said];
  } finally {
    console.error = error;
  }
}
