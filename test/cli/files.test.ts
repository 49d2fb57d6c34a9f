// Writing files: whichever operation fails, the old content or the new is there, whole; and a folder's lock
// is held by exactly one process.

import { spawn, spawnSync } from "node:child_process";
import fs, {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { isDuration, isInterval, parseDuration, parseInterval } from "../../model/settings/durations.ts";
import { appendLine, checkRoom, keepAs, removeTemporaries, writeAtomically } from "../../cli/files/files.ts";
import { isLock, lockFolder } from "../../cli/files/lock.ts";
import { resumeCommand } from "../../cli/terminal/stopSignals.ts";

const test = suite<{ folder: string }>("files");
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), "files-"));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true }));

type Operation = "open" | "chmod" | "write" | "sync" | "rename" | "link" | "syncFolder";

/** Makes one operation on files fail while `run` works; a write fails halfway. Returns the error. */
async function failing(failed: Operation, code: string, run: () => Promise<unknown>): Promise<Error> {
  const { open, rename, link } = fs.promises;
  const fault = Object.assign(new Error(`${code}: injected`), { code });
  const fail = (): Promise<never> => Promise.reject(fault);
  fs.promises.open = async (...args: Parameters<typeof open>) => {
    if (failed === "open") throw fault;
    const handle = await open(...args);
    const { writeFile } = handle;
    if (failed === "chmod") handle.chmod = fail;
    if (failed === (args[1] === "r" ? "syncFolder" : "sync")) handle.sync = fail;
    if (failed === "write") {
      handle.writeFile = async (content) => {
        await writeFile.call(handle, (content as string).slice(0, 3));
        throw fault;
      };
    }
    return handle;
  };
  if (failed === "rename") fs.promises.rename = fail;
  if (failed === "link") fs.promises.link = fail;
  syncBuiltinESMExports();
  try {
    await run();
    return new Error("it did not fail");
  } catch (error) {
    return error as Error;
  } finally {
    Object.assign(fs.promises, { open, rename, link });
    syncBuiltinESMExports();
  }
}

for (const [operation, code] of [
  ["open", "EACCES"],
  ["chmod", "EPERM"],
  ["write", "ENOSPC"],
  ["sync", "EIO"],
  ["rename", "EROFS"],
] as const) {
  test(`if ${operation} fails, the old content stays, no temporary file does, and the error has the reason`, async ({
    folder,
  }) => {
    const path = join(folder, "a.json");
    await writeAtomically(path, "old content");
    const error = await failing(operation, code, () => writeAtomically(path, "new content"));
    assert.is(error.name, "DiskError");
    assert.ok(error.message.startsWith(`${path}: could not be written (${code}): `), error.message);
    assert.match(error.message, /; the previous content is intact$/);
    assert.is(readFileSync(path, "utf8"), "old content");
    assert.equal(readdirSync(folder), ["a.json"]);
    await writeAtomically(path, "new content");
    assert.is(readFileSync(path, "utf8"), "new content");
  });
}

test("a folder is synced after its file, and errors that are not the disk's pass unchanged", async ({
  folder,
}) => {
  const path = join(folder, "a");
  assert.is((await failing("syncFolder", "EIO", () => writeAtomically(path, "new"))).name, "DiskError");
  assert.is(readFileSync(path, "utf8"), "new");
  const { message, name } = await failing("write", "EWHATEVER", () => writeAtomically(path, "newer"));
  assert.equal([name, message], ["Error", "EWHATEVER: injected"]);
});

test("a file gets a second name; on a file system without links it is moved", async ({ folder }) => {
  const [path, second] = [join(folder, "a"), join(folder, "b")];
  for (const content of ["1", "2"]) {
    await writeAtomically(path, content);
    await keepAs(path, second);
    assert.equal(
      [path, second].map((file) => readFileSync(file, "utf8")),
      [content, content],
    );
  }
  await keepAs(path, second); // both are the same file already
  assert.equal(readdirSync(folder).sort(), ["a", "b"]);
  await writeAtomically(path, "3");
  await failing("link", "EPERM", () => keepAs(path, second));
  assert.equal([readdirSync(folder), readFileSync(second, "utf8")], [["b"], "3"]);
});

test("lines are appended; a full disk is reported", async ({ folder }) => {
  const path = join(folder, "lines");
  await appendLine(path, "one");
  await appendLine(path, "two");
  assert.is(readFileSync(path, "utf8"), "one\ntwo\n");
  assert.match(
    (await failing("write", "ENOSPC", () => appendLine(path, "three"))).message,
    /the disk is full/,
  );
});

test("a killed writer's temporary files are removed, and no others", async ({ folder }) => {
  const names = [".a.json.123.tmp", ".hidden", "a.tmp", ".b.safetensors.4.tmp"];
  for (const name of names) writeFileSync(join(folder, name), "");
  assert.equal((await removeTemporaries(folder)).sort(), [names[0], names[3]]);
  assert.equal(readdirSync(folder).sort(), [".hidden", "a.tmp"]);
  assert.equal(await removeTemporaries(join(folder, "none")), []);
});

test("a disk without enough room is refused", async ({ folder }) => {
  await checkRoom(folder, 1000, "checkpoints");
  await checkRoom(join(folder, "not", "yet"), 1000, "checkpoints");
  let message = "";
  await checkRoom(folder, 1e18, "checkpoints").catch(
    (error: Error) => (message = `${error.name}: ${error.message}`),
  );
  assert.match(
    message,
    /^DiskError: .*: checkpoints need some 1000000000000 MB, and the disk has \d+ MB left: free/,
  );
});

test("a lock has one holder, whom others are shown; releasing it removes empty folders that it made", async ({
  folder,
}) => {
  const place = join(folder, "run", "teacher");
  const unlock = await lockFolder(place);
  assert.equal(readdirSync(place).map(isLock), [true]);
  await lockFolder(place).then(
    () => assert.unreachable(),
    (error: Error) => {
      assert.is(error.name, "UsageError");
      assert.ok(error.message.includes(`in use by process ${process.pid} on ${hostname()} since`));
    },
  );
  await unlock();
  assert.equal(readdirSync(folder), []);
  mkdirSync(place, { recursive: true });
  await (
    await lockFolder(place)
  )();
  assert.ok(existsSync(place), "a folder that existed before stays");
  const release = await lockFolder(join(folder, "other"));
  writeFileSync(join(folder, "other", "config.json"), "");
  await release();
  assert.equal(readdirSync(join(folder, "other")), ["config.json"]);
});

test("locks of dead processes do not count, even if their pid is in use again; locks of other machines do", async ({
  folder,
}) => {
  const { pid: gone } = spawnSync(process.execPath, ["--version"]);
  const lock = (holder: object) =>
    JSON.stringify({ pid: gone, host: hostname(), began: null, since: "then", ...holder });
  for (const content of [lock({}), lock({ pid: process.pid, began: "12" }), "", "{"]) {
    writeFileSync(join(folder, "lock.4"), content);
    const stale: string[] = [];
    const unlock = await lockFolder(folder, (line) => stale.push(line));
    assert.equal([readdirSync(folder), stale.length], [["lock.5"], 1]);
    await unlock();
  }
  writeFileSync(join(folder, "lock.1"), lock({ host: "elsewhere" }));
  const error = await lockFolder(folder).then(
    () => null,
    (reason: Error) => reason,
  );
  assert.match(
    error!.message,
    /in use by process \d+ on elsewhere .*; if elsewhere is gone, delete the lock\.\* in it/,
  );
});

test("if several processes find a stale lock at once, exactly one gets the next", async ({ folder }) => {
  const starter = `import { lockFolder } from ${JSON.stringify(new URL("../../cli/files/lock.js", import.meta.url).href)};
    const place = process.argv[1];
    process.stdout.write("ready\\n");
    for await (const line of process.stdin) {
      const number = String(line).trim();
      await lockFolder(place + number).then(() => process.stdout.write("won\\n"), () => process.stdout.write("lost\\n"));
    }`;
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, ["--input-type=module", "-e", starter, join(folder, "run")]),
  );
  const answers = () =>
    Promise.all(children.map(async ({ stdout }) => String((await once(stdout, "data"))[0]).trim()));
  try {
    assert.equal(await answers(), Array(4).fill("ready"));
    for (let round = 0; round < 25; round++) {
      mkdirSync(join(folder, `run${round}`));
      const stale = { pid: 2 ** 22 + 1, host: hostname(), began: null, since: "then" };
      if (round % 2) writeFileSync(join(folder, `run${round}`, "lock.1"), JSON.stringify(stale));
      const outcome = answers();
      for (const { stdin } of children) stdin.write(`${round}\n`);
      assert.equal((await outcome).sort(), ["lost", "lost", "lost", "won"], `round ${round}`);
    }
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
});

test("durations are parsed, and a stopped command gives the command that resumes it", () => {
  assert.equal(["6h", "90m", "1h30m", "30s", "1.5h"].map(parseDuration), [21600, 5400, 5400, 30, 5400]);
  for (const text of ["", "6", "h", "0s", "-1h", "5m 3s", "3s5m", "1d"])
    assert.not.ok(isDuration(text), text);
  assert.equal(parseInterval("200"), { seconds: Infinity, steps: 200 });
  assert.equal(parseInterval("5m"), { seconds: 300, steps: Infinity });
  for (const text of ["0", "1.5", "-3", "5x"]) assert.not.ok(isInterval(text), text);
  const argv = ["node", "/x/cli/train.js", "--data", "my data", "--overwrite", "--fold", "0"];
  assert.is(resumeCommand(argv), 'node cli/train.js --data "my data" --fold 0 --resume');
});

test.run();
