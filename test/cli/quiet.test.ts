// The harmless lines of drivers are hidden on whatever standard error is, all others arrive, and nothing in a
// shared log is overwritten.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { audible } from "../../cli/terminal/quiet.ts";

const test = suite("quiet");
if (process.platform === "linux") {
  const folder = mkdtempSync(join(tmpdir(), "quiet-"));
  test.after(() => rmSync(folder, { recursive: true }));

  const url = (path: string) => new URL(`../../cli/${path}`, import.meta.url);
  const script = join(folder, "driver.mjs");
  writeFileSync(
    script,
    `import { writeSync } from "node:fs";
import { quietly } from "${url("terminal/quiet.js").href}";
console.log("out 1");
console.error("error 1");
quietly(() => {
  writeSync(2, "Warning: maxBuffers artificially reduced from 1000000 to 16\\n");
  writeSync(2, "Error: VK_ERROR_OUT_OF_DEVICE_MEMORY\\n");
});
console.log("out 2");
console.error("error 2");
`,
  );
  const driver = `"${process.execPath}" "${script}"`;
  const seen = ["error 1", "Error: VK_ERROR_OUT_OF_DEVICE_MEMORY", "error 2"];
  const all = ["out 1", ...seen.slice(0, 2), "out 2", ...seen.slice(2)];
  const shell = (line: string) => spawnSync("sh", ["-c", line], { cwd: folder, encoding: "utf8" });
  const log = () => readFileSync(join(folder, "log"), "utf8").trim().split("\n");

  for (const [kind, line, expected] of [
    ["a file", `${driver} 2> log`, seen],
    ["a file that is appended to", `echo before > log; ${driver} 2>> log`, ["before", ...seen]],
    ["a pipe", `${driver} 2>&1 > out | cat > log`, seen],
    [
      "a log of several commands, with their output",
      `{ echo before; ${driver}; echo after; } > log 2>&1`,
      ["before", ...all, "after"],
    ],
  ] as const)
    test(`standard error is ${kind}: only the harmless line is hidden`, () => {
      const { status, stderr } = shell(line);
      assert.is(status, 0, stderr);
      assert.equal(log(), expected);
    });

  test("standard error is a terminal: only the harmless line is hidden", () => {
    if (spawnSync("script", ["--version"]).status !== 0)
      return console.log("SKIPPED: warnings on a terminal: no command `script`");
    shell(`script -qec '${driver}' /dev/null < /dev/null > log`);
    assert.equal(
      log().map((line) => line.trim()),
      all,
    );
  });

  test("a command that opens the adapter writes no harmless line to a log", () => {
    const doctor = fileURLToPath(url("doctor.js"));
    const { status, stderr } = shell(`"${process.execPath}" "${doctor}" > log 2>&1`);
    assert.is(status, 0, stderr);
    assert.equal(audible(log().join("\n")).length, log().filter((line) => line !== "").length);
  });
} else console.log("SKIPPED: harmless lines of drivers are hidden: only on Linux");

test.run();
