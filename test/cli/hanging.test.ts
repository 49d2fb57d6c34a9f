// Files that never answer: a pipe in place of a file is refused by name, and a signal ends a process with a
// thread that waits for ever.

import { spawn, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { copyScans } from "../../cli/files/copyScans.ts";
import { folderSource } from "../../cli/files/folderSource.ts";
import { readModel } from "../../cli/files/models.ts";
import { readSplitFiles } from "../../cli/files/splitFiles.ts";
import { readFile } from "../../cli/terminal/userFile.ts";
import { readSettings } from "../../cli/terminal/configFile.ts";
import { failure } from "../support/quietly.ts";

const test = suite("hanging");
const folder = mkdtempSync(join(tmpdir(), "hanging-"));
const pipe = join(folder, "pipe");
const link = join(folder, "link");
const cannot =
  process.platform === "win32" || spawnSync("mkfifo", [pipe]).status !== 0 ? "this system has no mkfifo" : "";
if (cannot) console.log(`SKIPPED: hanging: ${cannot}`);
else symlinkSync(pipe, link);
test.after(() => rmSync(folder, { recursive: true }));

const cli = fileURLToPath(new URL("../../cli/", import.meta.url));

if (!cannot)
  test("a pipe, a link to one and a device are refused by name, wherever a user's file is read", async () => {
    const scans = join(folder, "scans", "a");
    mkdirSync(scans, { recursive: true });
    spawnSync("mkfifo", [join(scans, "a_t1.nii.gz")]);
    const copy = { from: join(folder, "scans"), to: join(folder, "copy"), ids: ["a"] };
    const source = await folderSource(folder);
    for (const [read, name, text] of [
      [() => readFile(pipe), "DataError", /pipe: expected a file, got a pipe: name a file$/],
      [() => readFile(link), "DataError", /link: expected a file, got a pipe/],
      [() => readFile("/dev/zero"), "DataError", /^\/dev\/zero: expected a file, got a device/],
      [() => readSettings(link), "UsageError", /--config .*link: .* got a pipe/],
      [() => readModel(pipe), "CheckpointError", /pipe: expected a checkpoint, got a pipe/],
      [() => readSplitFiles(pipe, ["a"], "refuse"), "DataError", /pipe: .* got a pipe/],
      [() => source.read("link"), "DataError", /^link: expected a file that can be read, got a pipe/],
      [() => copyScans(copy), "DataError", /a_t1\.nii\.gz: expected a file, got a pipe/],
    ] as const) {
      const error = await failure(read);
      assert.is(error.name, name, error.message);
      assert.match(error.message, text);
    }
  });

test("nothing in cli/ reads a file that a user can name but through userFile.ts", () => {
  const own = ["terminal/userFile.ts", "files/lock.ts", "report/rasterise.ts", "study.ts"];
  // locks, and the project's own files
  const files = readdirSync(cli, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  const direct = files.filter((file) =>
    /^import .*\b(readFile|createReadStream)\b.*"node:fs/m.test(readFileSync(join(cli, file), "utf8")),
  );
  assert.equal(direct.map((file) => file.replaceAll("\\", "/")).sort(), own.sort());
});

if (!cannot)
  test("a signal ends a process with a thread that waits for ever, with its exit code", async () => {
    const script = join(folder, "hang.mjs");
    const signals = new URL("../../cli/terminal/stopSignals.js", import.meta.url).href;
    writeFileSync(
      script,
      `import { readFile } from "node:fs/promises";
       import { heedSignals } from ${JSON.stringify(signals)};
       heedSignals();
       void readFile(process.argv[2]);
       setTimeout(() => console.log("hanging"), 100);
       setInterval(() => undefined, 1000);`,
    );
    for (const [signal, code] of [
      ["SIGTERM", 143],
      ["SIGINT", 130],
    ] as const) {
      const child = spawn(process.execPath, [script, pipe], { stdio: ["ignore", "pipe", "ignore"] });
      child.stdout.once("data", () => child.kill(signal));
      const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
      const ended = await new Promise((resolve) =>
        child.once("exit", (status, by) => resolve(by === null ? status : by)),
      );
      clearTimeout(timer);
      assert.ok(ended === signal || ended === code, `${signal}: ended by ${String(ended)}`);
    }
  });

test.run();
