// The phantom's folder and its command: complete data sets only, and other files stay untouched.

import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { makePhantom, phantomVersion } from "../../cli/files/phantomFolder.ts";
import { readNifti } from "../../data/nifti/nifti.ts";
import { phantomCase } from "../../data/phantom/phantom.ts";

test("the folder has every case under BraTS's names, with the voxels of phantomCase", async () => {
  await inTemporary(async (folder) => {
    const out = join(folder, "deep", "set");
    await makePhantom({ out, cases: 2, size: [16, 18, 20], seed: 3 });
    assert.equal((await readdir(out)).sort(), ["PHANTOM_001", "PHANTOM_002", "phantom.json"]);
    assert.equal(await readdir(join(folder, "deep")), ["set"]);
    const expected = phantomCase({ seed: 3, index: 1, size: [16, 18, 20] });
    for (const [suffix, data] of Object.entries({ ...expected.images, seg: expected.label })) {
      const path = join(out, "PHANTOM_002", `PHANTOM_002_${suffix}.nii.gz`);
      const volume = await readNifti(await readFile(path), path);
      assert.equal(volume.size, [16, 18, 20]);
      assert.equal([...volume.data], [...data]);
      assert.ok(
        volume.affine.flat().every((value, at) => Math.abs(value - expected.affine.flat()[at]!) < 1e-4),
      );
    }
  });
});

test("the same phantom is made once; another needs --overwrite", async () => {
  await inTemporary(async (folder) => {
    const out = join(folder, "set");
    const lines: string[] = [];
    const options = { out, cases: 1, size: 16, seed: 3, report: (line: string) => lines.push(line) };
    await makePhantom(options);
    const made = (await stat(join(out, "phantom.json"))).mtimeMs;
    lines.length = 0;
    await makePhantom(options);
    assert.match(lines.join("\n"), /already holds/);
    assert.is((await stat(join(out, "phantom.json"))).mtimeMs, made);

    const refusal = await failure(() => makePhantom({ ...options, seed: 4 }));
    assert.is(refusal.name, "UsageError");
    assert.match(refusal.message, /seed 4.*got.*seed 3.*--overwrite/);
    await makePhantom({ ...options, seed: 4, overwrite: true });
    assert.match(await readFile(join(out, "phantom.json"), "utf8"), /"seed": 4/);
  });
});

test("a folder with other files is never replaced, one without a case never used", async () => {
  await inTemporary(async (folder) => {
    const out = join(folder, "set");
    await writeFile(join(folder, "scan.nii"), "mine");
    const options = { cases: 1, size: 16, seed: 3, overwrite: true };
    assert.match(
      (await failure(() => makePhantom({ ...options, out: folder }))).message,
      /without phantom\.json/,
    );
    await makePhantom({ ...options, out });
    await writeFile(join(out, "notes.txt"), "mine");
    assert.match((await failure(() => makePhantom({ ...options, out, seed: 4 }))).message, /notes\.txt/);
    await rm(join(out, "PHANTOM_001"), { recursive: true });
    assert.match((await failure(() => makePhantom({ ...options, out }))).message, /PHANTOM_001/);
    assert.is(await readFile(join(out, "notes.txt"), "utf8"), "mine");
  });
});

test("version 2 has a split, whose test cases have the consensus as label", async () => {
  await inTemporary(async (folder) => {
    const out = join(folder, "set");
    await makePhantom({ out, cases: 4, size: 16, seed: 3, version: 2 });
    const names = [1, 2, 3, 4].map((n) => `PHANTOM_00${n}`);
    assert.equal((await readdir(out)).sort(), [...names, "phantom.json", "split.json"]);
    const [val, other, held, last] = names;
    const split = { train: [other, last], val: [val], test: [held] };
    assert.equal(JSON.parse(await readFile(join(out, "split.json"), "utf8")), split);
    for (const index of [1, 2]) {
      const expected = phantomCase({ seed: 3, index, size: 16, version: 2, raters: index !== 2 });
      const path = join(out, names[index]!, `${names[index]!}_seg.nii.gz`);
      assert.equal([...(await readNifti(await readFile(path), path)).data], [...expected.label]);
    }
  });
});

test("a case does not depend on how many there are", async () => {
  await inTemporary(async (folder) => {
    const [few, many] = [join(folder, "few"), join(folder, "many")];
    await makePhantom({ out: few, cases: 2, size: 16, seed: 3, version: 2 });
    await makePhantom({ out: many, cases: 5, size: 16, seed: 3, version: 2 });
    assert.equal((await readdir(few)).sort(), ["PHANTOM_001", "PHANTOM_002", "phantom.json"], "no split");
    for (const file of await readdir(join(few, "PHANTOM_002"))) {
      const [one, other] = await Promise.all(
        [few, many].map((at) => readFile(join(at, "PHANTOM_002", file))),
      );
      assert.is(Buffer.compare(one!, other!), 0, file);
    }
  });
});

test("another version is refused with what helps, and so is a split of the user's", async () => {
  await inTemporary(async (folder) => {
    const out = join(folder, "set");
    const options = { out, cases: 3, size: 16, seed: 3 };
    await makePhantom({ ...options, version: 1 });
    const refusal = await failure(() => makePhantom({ ...options, version: 2 }));
    assert.is(refusal.name, "UsageError");
    assert.match(refusal.message, /version 2, got .* version 1; .*--overwrite, or .*--version 1$/);
    await makePhantom({ ...options, version: 2, overwrite: true });
    assert.is(await phantomVersion(out), 2);
    const unrated = await failure(() => makePhantom({ ...options, version: 2, raters: false }));
    assert.match(
      unrated.message,
      /version 2, without raters, got .* version 2; .*or replace it with --overwrite$/,
    );
    await makePhantom({ ...options, version: 2, raters: false, overwrite: true });
    await writeFile(join(out, "split.json"), "{}");
    const kept = await failure(() => makePhantom({ ...options, version: 1, overwrite: true }));
    assert.match(kept.message, /nothing but a phantom to overwrite, got split\.json too/);
  });
});

test("train.js --phantom refuses a folder of another version, and other data", async () => {
  await inTemporary(async (folder) => {
    await makePhantom({ out: join(folder, "phantom"), cases: 3, size: 16, seed: 3, version: 1 });
    const train = (...options: string[]) => started("train", ["--stage", "teacher", ...options], folder);
    const other = train("--phantom", "2");
    assert.is(other.status, 2, other.stderr);
    assert.match(
      other.stderr,
      /phantom: expected a phantom of version 2, got version 1; move the folder away/,
    );
    const data = train("--phantom", "2", "--data", "mine");
    assert.is(data.status, 2, data.stderr);
    assert.match(data.stderr, /--phantom: trains on phantom, not on mine: use it without --data/);
    await rm(join(folder, "phantom", "phantom.json"));
    assert.match(train("--phantom", "1").stderr, /version 1, got other data/);
  });
});

test("node cli/phantom.js makes a set, and exits with 2 for wrong options before it writes", async () => {
  await inTemporary(async (folder) => {
    const out = join(folder, "set");
    const wrong = run("--out", out, "--size", "64,64");
    assert.is(wrong.status, 2);
    assert.match(wrong.stderr, /--size.*'64,64'/);
    assert.is(run("--cases", "1").status, 2);
    assert.equal(await readdir(folder), []);
    assert.is(run("--out", out, "--version", "3").status, 2);
    assert.is(run("--out", out, "--cases", "1", "--size", "16").status, 0);
    assert.is(await phantomVersion(out), 2, "the default");
    const first = run("--out", out, "--cases", "1", "--size", "16", "--version", "1");
    assert.match(first.stderr, /version 1, got .* version 2/);
    const other = run("--out", out, "--cases", "2", "--size", "16");
    assert.is(other.status, 2);
    assert.match(other.stderr, /2 cases.*got.*1 case/);
    assert.ok(!other.stderr.includes("    at "), "no stack");
  });
});

test.run();

async function inTemporary(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "phantom-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function failure(act: () => Promise<void>): Promise<Error> {
  try {
    await act();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

function run(...options: string[]) {
  return started("phantom", options);
}

function started(name: string, options: readonly string[], cwd?: string) {
  const command = fileURLToPath(new URL(`../../cli/${name}.js`, import.meta.url));
  return spawnSync(process.execPath, [command, ...options], { encoding: "utf8", cwd });
}
