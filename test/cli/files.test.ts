// Writing files: whichever operation fails, the old content or the new is there, whole.

import fs, { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { isDuration, isInterval, parseDuration, parseInterval } from "../../model/settings/durations.ts";
import { appendLine, checkRoom, keepAs, removeTemporaries, writeAtomically } from "../../cli/files/files.ts";
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
  const names = [".a.json.123.tmp", ".hidden", "a.tmp", ".b.safetensors.4.tmp", ".c.0123456789ab.tmp"];
  for (const name of names) writeFileSync(join(folder, name), "");
  assert.equal((await removeTemporaries(folder)).sort(), [names[0], names[3], names[4]]);
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
