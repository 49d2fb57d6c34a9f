// A stage's folder has one writer: a lock is held by exactly one process, and one follows only where the
// holder is gone. Locks of other machines and containers are written by the test.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { appendLine, keepAs, writeAtomically } from "../../cli/files/files.ts";
import { checkHeld, isLock, lockFolder } from "../../cli/files/lock.ts";
import { type Holder, ownHolder, SILENCE } from "../../cli/files/lockHolder.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import { EventFile } from "../../cli/report/tensorboard.ts";
import { run } from "../support/command.ts";
import { failure } from "../support/quietly.ts";

const test = suite<{ folder: string }>("lock");
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), "lock-"));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true }));

const { pid: gone } = spawnSync(process.execPath, ["--version"]);
const me = ownHolder();
const linux = me.boot !== null;

/** Writes a lock that differs from this process's own in `changes`, silent for so many seconds. */
function forge(path: string, changes: Partial<Holder> | string, silent = 0): void {
  writeFileSync(path, typeof changes === "string" ? changes : JSON.stringify({ ...me, ...changes }));
  const time = Date.now() / 1000 - silent;
  utimesSync(path, time, time);
}

/** A lock as older versions wrote it. */
const older = { boot: undefined, namespace: undefined, id: undefined };

test("a lock has one holder, whom others are shown; releasing it removes empty folders that it made", async ({
  folder,
}) => {
  const place = join(folder, "run", "teacher");
  const unlock = await lockFolder(place);
  assert.equal(readdirSync(place).map(isLock), [true]);
  const { name, message } = await failure(() => lockFolder(place));
  assert.is(name, "BusyError");
  assert.ok(message.includes(`in use by process ${process.pid} on ${hostname()} since`), message);
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

const fresh = SILENCE - 60;
const old = SILENCE + 60;
const otherNamespace = linux ? { namespace: "pid:[1]" } : { host: "another" };
const otherBoot = linux ? { boot: "1-2-3" } : { host: "another" };
for (const [title, changes, silent] of [
  ["a process that is gone", { pid: gone }, 0],
  ["a gone process of an older version", { pid: gone, ...older }, 0],
  ["a reused pid of an older version", { began: "12", ...older }, 0],
  ["an empty file", "", 0],
  ["half a file", "{", 0],
  ["another container, silent", otherNamespace, old],
  ["another container with a pid that is free here, silent", { ...otherNamespace, pid: gone }, old],
  ["another machine, silent", { host: "elsewhere", ...otherBoot }, old],
  ["another start of this machine, silent", otherBoot, old],
  ...(linux ? [["a reused pid", { began: "12" }, 0] as const] : []),
  ["no /proc, a process that is gone", { pid: gone, boot: null, namespace: null }, linux ? old : 0],
  ["no /proc, a pid in use, silent", { began: null, boot: null, namespace: null }, old],
] as const) {
  test(`a lock of ${title}: the next holder follows at once`, async ({ folder }) => {
    forge(join(folder, "lock.4"), changes, silent);
    writeFileSync(join(folder, ".lock.123"), ""); // cut short, of an older version and of this one
    writeFileSync(join(folder, ".lock.0123456789ab"), "");
    const stale: string[] = [];
    const unlock = await lockFolder(folder, (line) => stale.push(line));
    assert.equal(readdirSync(folder), ["lock.5"]);
    assert.match(
      stale.join("\n"),
      /removed the lock of .*, which (is gone|gave no sign of life for 6 minutes)$/,
    );
    await unlock();
    assert.equal(readdirSync(folder), []);
  });
}

for (const [title, changes, silent, words] of [
  [
    "another container, with a pid that is free here",
    { ...otherNamespace, pid: gone },
    0,
    /life is \d s old/,
  ],
  ["another container, silent for less than the limit", otherNamespace, fresh, /and after 300 s it counts/],
  ["another machine", { host: "elsewhere", ...otherBoot }, fresh, /on elsewhere .* life is 24\d s old/],
  ["another machine, of an older version", { host: "elsewhere", ...older }, old, /elsewhere is gone, delete/],
  ["an older version's running process", { ...older }, old, /another --out$/],
  ["no /proc, a pid in use", { began: null, boot: null, namespace: null }, fresh, /in use by/],
  ...(linux ? [["a running process, however silent", {}, old, /another --out$/] as const] : []),
] as const) {
  test(`a lock of ${title}: it stays`, async ({ folder }) => {
    forge(join(folder, "lock.4"), changes, silent);
    const { name, message } = await failure(() => lockFolder(folder));
    assert.is(name, "BusyError");
    assert.match(message, /: in use by process \d+ on .* since .*: wait for it, or choose another --out/);
    assert.match(message, words);
    assert.equal(readdirSync(folder), ["lock.4"]);
  });
}

test("a holder renews its lock: its time, not its bytes, and never another's lock", async ({ folder }) => {
  const unlock = await lockFolder(folder, undefined, 0.05);
  const lock = join(folder, "lock.1");
  const text = readFileSync(lock, "utf8");
  utimesSync(lock, 1, 1);
  while (statSync(lock).mtimeMs < 2000) await sleep(10);
  assert.is(readFileSync(lock, "utf8"), text);
  forge(lock, { ...otherBoot, id: "another's" }, 1000);
  const { mtimeMs } = statSync(lock);
  await sleep(300);
  assert.is(statSync(lock).mtimeMs, mtimeMs);
  await unlock();
  assert.ok(existsSync(lock), "another's lock is not released either");
});

test("a holder that was followed notices before each kind of write, and changes nothing", async ({
  folder,
}) => {
  const place = join(folder, "run");
  mkdirSync(join(place, "predictions"), { recursive: true });
  const unlock = await lockFolder(place);
  const lines = join(place, FILES.metrics);
  await appendLine(lines, "one");
  const events = await EventFile.begin(join(place, "tb"), 1);
  rmSync(join(place, "lock.1"));
  forge(join(place, "lock.2"), { pid: 77, host: "elsewhere", ...otherBoot });
  const seen = () =>
    readdirSync(place, { recursive: true }).map((name) => {
      const path = join(place, String(name));
      return [name, statSync(path).isFile() ? readFileSync(path, "utf8") : null];
    });
  const before = seen();
  for (const write of [
    () => appendLine(lines, "two"),
    () => writeAtomically(lines, "two"),
    () => writeAtomically(join(place, "predictions", "new.json"), "two"),
    () => keepAs(lines, join(place, "second")),
    () => events.flush(),
    () => checkHeld(place),
  ]) {
    const { name, message } = await failure(write);
    assert.is(name, "BusyError");
    assert.match(
      message,
      /run: process 77 on elsewhere took over this run's folder.*: it ends, and writes nothing/,
    );
  }
  assert.equal(seen(), before);
  await writeAtomically(join(folder, "beside"), "is not in the folder");
  await unlock();
  assert.equal(seen(), before);
});

test("a training in a folder in use ends with exit code 75", async ({ folder }) => {
  await makePhantom({ out: join(folder, "data"), cases: 4, size: 16, seed: 5 });
  const unlock = await lockFolder(join(folder, "out", "teacher"));
  const flags = [
    "--stage",
    "teacher",
    "--data",
    join(folder, "data"),
    "--out",
    join(folder, "out"),
    "--quiet",
  ];
  for (const more of [[], ["--resume"], ["--overwrite"]]) {
    const { status, stderr } = run("train", ...flags, ...more);
    assert.is(status, 75, stderr);
    assert.match(stderr.trim(), /^.*teacher: in use by process \d+ on .*$/);
  }
  await unlock();
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

const unshare = ["--pid", "--fork", "--kill-child", "--mount-proc"];
const apart = "locks between two pid namespaces";
if (spawnSync("unshare", [...unshare, "true"]).status !== 0) {
  console.log(`SKIPPED: ${apart}: unshare is not permitted here, or does not exist`);
} else {
  test(`${apart}: the second is refused, and a paused first notices that another followed`, async ({
    folder,
  }) => {
    const files = (name: string) =>
      JSON.stringify(new URL(`../../cli/files/${name}.js`, import.meta.url).href);
    const script = `import { lockFolder } from ${files("lock")};
      import { appendLine } from ${files("files")};
      const [folder, name] = process.argv.slice(1);
      const unlock = await lockFolder(folder, (line) => console.log(line)).catch(ended);
      console.log("locked by", process.pid);
      for (;;) {
        await appendLine(folder + "/lines", name).catch(ended);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      function ended({ name, message }) {
        console.log(name, message);
        process.exit();
      }`;
    const place = join(folder, "run");
    const started: ChildProcess[] = [];
    const start = (name: string) => {
      const node = [process.execPath, "--input-type=module", "-e", script, place, name];
      const child = spawn("unshare", [...unshare, ...node]);
      started.push(child);
      const said = { text: "" };
      child.stdout.on("data", (data: Buffer) => (said.text += data.toString()));
      return { child, said };
    };
    const until = async (said: { text: string }, words: RegExp) => {
      for (let tries = 0; !words.test(said.text); tries++) {
        assert.ok(tries < 1000, `${words}: ${said.text}`);
        await sleep(20);
      }
    };
    try {
      const first = start("first");
      await until(first.said, /locked by/);
      const second = start("second");
      await until(second.said, /BusyError .* in use by process 1 on .*; its last sign of life/);
      const inside = readFileSync(`/proc/${first.child.pid}/task/${first.child.pid}/children`, "utf8").trim();
      process.kill(Number(inside), "SIGSTOP");
      utimesSync(join(place, "lock.1"), 1, 1);
      const third = start("third");
      await until(third.said, /removed the lock of process 1 .*\nlocked by/);
      process.kill(Number(inside), "SIGCONT");
      await until(first.said, /BusyError .* took over this run's folder/);
      const names = readFileSync(join(place, "lines"), "utf8").trim().split("\n");
      // One write of the first may have been under way when it was paused.
      const changes = names.filter((name, i) => name !== names[i - 1]);
      assert.ok(changes.length <= 4 && changes.at(-1) === "third", `${changes}`);
      assert.ok(names.filter((name, i) => name === "first" && names[i - 1] === "third").length <= 1);
      assert.ok(!names.includes("second"));
    } finally {
      for (const child of started) child.kill("SIGKILL");
    }
  });
}

test.run();
