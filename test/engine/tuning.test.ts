// The choice of kernels: candidates come from the tables, the fastest right one wins, and it is kept.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { applyTuning, isSoftware, readTuning, tuningFile, tuningText } from "../../cli/device/tuning.ts";
import { FAMILIES } from "../../engine/convolution/families.ts";
import type { VolumeRow } from "../../engine/convolution/row.ts";
import { FORWARD } from "../../engine/convolution/same.ts";
import {
  type Abilities,
  candidates,
  conv3d,
  defaultTuning,
  type Device,
  isTuning,
  KERNELS,
  type Precision,
  Tensor,
  type Tuning,
  tune,
  tuningOf,
  withTuning,
} from "../../engine/index.ts";
import { device as shared } from "../support/gradcheck.ts";
import { silenced } from "../support/quietly.ts";

const text = (value: unknown) => JSON.stringify(value);

/** A GPU with subgroups of so many lanes. */
const withLanes = (min: number, max: number): Abilities => ({ lanes: { min, max }, gpu: shared.gpu });

test("the default of a family is the first row that runs on the GPU", () => {
  const kernels = (min: number, max: number) => text(Object.values(defaultTuning(withLanes(min, max))));
  assert.is(kernels(8, 8), text([{ kernel: "narrow" }, { kernel: "rotate" }, { kernel: "halving" }]));
  const rest = [{ kernel: "plain", WG: 64 }, { kernel: "plain" }];
  assert.is(kernels(32, 32), text([{ kernel: "subgroups", WG: 32 }, ...rest]));
  assert.is(kernels(32, 128), text([{ kernel: "subgroups", WG: 64 }, ...rest]));
  for (const [min, max] of [
    [0, 0],
    [4, 4],
  ] as const)
    assert.is(kernels(min, max), text([{ kernel: "plain", WG: 64, TW: 8 }, ...rest]));
});

test("no candidate is listed twice, and only candidates are choices", () => {
  for (const gpu of [withLanes(0, 0), withLanes(8, 8), withLanes(16, 32)]) {
    for (const all of Object.values(candidates(gpu))) {
      assert.is(new Set(all.map(text)).size, all.length);
    }
    assert.ok(isTuning(JSON.parse(text(defaultTuning(gpu))), gpu));
  }
  const plain = withLanes(0, 0);
  assert.not(isTuning(defaultTuning(withLanes(8, 8)), plain), "kernels of eight lanes elsewhere");
  const odd = { ...defaultTuning(plain), weightGradient: { kernel: "plain", WG: 63 } };
  for (const value of [odd, {}, null, "eight", 3, undefined]) assert.not(isTuning(value, plain));
});

test("every table ends with a kernel that runs everywhere, and a choice names its kernels once", () => {
  for (const [family, { tables }] of Object.entries(FAMILIES)) {
    for (const rows of Object.values(tables) as readonly (readonly Pick<VolumeRow, "name" | "sizes">[])[]) {
      assert.ok(rows.at(-1)!.sizes(withLanes(0, 0)).length > 0, family);
      assert.is(new Set(rows.map(({ name }) => name)).size, rows.length, family);
    }
  }
  assert.is(
    KERNELS,
    "forward narrow eight subgroups plain tile, weightGradient rotate eight plain ring, halving halving plain product",
  );
});

test("one more row is a candidate, the default if it comes first, and runs the calls that it fits", () => {
  const grid = { groups: [2, 3, 5] as const, work: 7 };
  const ran: object[] = [];
  const row: VolumeRow = {
    name: "cube",
    sizes: ({ gpu }) => (gpu.limits.maxComputeWorkgroupSizeX >= 128 ? [{ edge: 4 }, { edge: 8 }] : []),
    fits: ({ operands: { x, size } }) => x.precision === "f16" && size.every((edge) => edge > 4),
    grid: () => grid,
    run: (call, given, sizes) => void ran.push({ outputs: call.operands.outputs, given, sizes }),
  };
  const table = FORWARD as VolumeRow[];
  table.unshift(row);
  try {
    const [first, second] = candidates(shared).forward;
    assert.equal(
      [first, second],
      [
        { kernel: "cube", edge: 4 },
        { kernel: "cube", edge: 8 },
      ],
    );
    const small = { lanes: shared.lanes, gpu: { ...shared.gpu, limits: { maxComputeWorkgroupSizeX: 64 } } };
    assert.not(candidates(small as unknown as Abilities).forward.some(({ kernel }) => kernel === "cube"));

    const on = shared.counting();
    on.tuning = null;
    assert.equal(tuningOf(on).forward, first);
    const dispatched: string[] = [];
    on.listener.dispatch = (label) => void dispatched.push(label);
    const weight = new Tensor(on, [3, 2, 3, 3, 3]);
    const x = (edge: number, precision: Precision) => new Tensor(on, [1, 2, edge, edge, edge], precision);
    conv3d(x(5, "f16"), weight);
    withTuning(on, { forward: second! }, () => conv3d(x(5, "f16"), weight));
    assert.equal(ran, [
      { outputs: 3, given: grid, sizes: { edge: 4 } },
      { outputs: 3, given: grid, sizes: { edge: 8 } },
    ]);
    assert.equal(dispatched, []);
    conv3d(x(4, "f16"), weight);
    conv3d(x(5, "f32"), weight);
    assert.is(dispatched.length, 2, "other calls go to the next row");
    assert.is(ran.length, 2);
  } finally {
    table.shift();
  }
});

/** A device without features, where few candidates run: each takes seconds to compile. */
const small = (): Promise<Device> => openDevice({ limits: "default" });

/** A timer of this device that says how long a call takes with the kernels under trial. */
const timer = (own: Device, milliseconds: (tuning: Tuning) => number) => () =>
  Promise.resolve(milliseconds(tuningOf(own)));

test("the fastest of the right candidates wins, but the default if the gain is small", async () => {
  const own = await small();
  const before = tuningOf(own);
  const slightly = timer(own, ({ forward }) => (text(forward) === text(before.forward) ? 100 : 98));
  assert.equal(await tune(own, slightly), before, "2 % may be chance");
  assert.is(own.tuning, before, "tune() returns a choice and leaves the device as it was");
  const fast = { kernel: "plain", WG: 128, TW: 4 } as const;
  const favoured = timer(own, ({ forward }) => (text(forward) === text(fast) ? 50 : 100));
  assert.equal(await tune(own, favoured), { ...before, forward: fast });
  spoil(own, `conv3d.wgsl/forward {"WG":128,"K":3,"S":1,"P":1,"TW":4}`);
  assert.equal(await tune(own, favoured), before, "the fastest is wrong");
  own.gpu.destroy();
});

/** Replaces a compiled kernel by one that adds 1 to every sum. */
function spoil({ gpu, pipelines }: Device, key: string): void {
  assert.ok(pipelines.has(key), key);
  const code = readFileSync(new URL("../../shaders/conv3d.wgsl", import.meta.url), "utf8");
  const wrong = code.replace("real(start + sum)", "real(start + sum + 1.0)");
  assert.is.not(wrong, code);
  const module = gpu.createShaderModule({ code: wrong });
  const constants = JSON.parse(key.slice(key.indexOf("{"))) as Record<string, number>;
  const compute = { module, entryPoint: "forward", constants };
  pipelines.set(key, gpu.createComputePipeline({ layout: "auto", compute }));
}

test("a choice is kept for its adapter and read again; a broken file counts as no file", async () => {
  const cache = mkdtempSync(join(tmpdir(), "protokd-"));
  const restore = environment({ XDG_CACHE_HOME: cache, PROTOKD_TUNING: undefined });
  const own = await small();
  const { info } = own.adapter;
  try {
    const path = tuningFile();
    assert.is(path, join(cache, "protokd", "tuning.json"));
    assert.is(await readTuning(info, own), null);
    const chosen: Tuning = { ...defaultTuning(own), weightGradient: { kernel: "plain", WG: 128 } };
    own.tuning = defaultTuning(own);
    const said = await silenced(() =>
      applyTuning(own, { retune: true, choose: () => Promise.resolve(chosen) }),
    );
    assert.match(said.join("\n"), /weight gradient plain \(WG 128\)/);
    assert.equal(own.tuning, chosen);
    assert.equal(await readTuning(info, own), chosen);
    const kept = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    const [key] = Object.keys(kept);
    assert.ok(key!.endsWith(` | kernels ${KERNELS}`));
    if (/Mesa/.test(info.description)) assert.match(key!, /Mesa \d+\.\d+/, "the driver's version");

    own.tuning = defaultTuning(own);
    await applyTuning(own, { choose: () => Promise.reject(new Error("measured again")) });
    assert.equal(own.tuning, chosen);
    const recorded: Tuning = { ...chosen, weightGradient: { kernel: "plain", WG: 32 } };
    await applyTuning(own, { recorded });
    assert.equal(own.tuning, recorded, "a run's own choice comes first");
    const elsewhere = defaultTuning(withLanes(8, 8));
    const warned = await silenced(() => applyTuning(own, { recorded: elsewhere }));
    assert.equal(own.tuning, chosen, "unless this adapter cannot run it");
    assert.match(
      warned.join("\n"),
      /began with \(forward narrow, .*\) do not run .* resumes with forward .* round differently/,
    );
    own.tuning = defaultTuning(own);
    process.env["PROTOKD_TUNING"] = "off";
    await applyTuning(own, { recorded });
    assert.equal(own.tuning, defaultTuning(own), "switched off");

    writeFileSync(path, JSON.stringify({ other: 1, [key!]: { ...chosen, halving: { kernel: "halving" } } }));
    assert.is(await readTuning(info, own), null, "not for these lanes");
    for (const broken of ["", "{", "3", "null", "[]"]) {
      writeFileSync(path, broken);
      assert.is(await readTuning(info, own), null);
    }
  } finally {
    own.gpu.destroy();
    restore();
    rmSync(cache, { recursive: true });
  }
});

test("a software adapter takes the default without measuring", async () => {
  if (!isSoftware(shared.adapter.info))
    return console.log("SKIPPED: the default of software adapters: this adapter is a GPU");
  const cache = mkdtempSync(join(tmpdir(), "protokd-"));
  const restore = environment({ XDG_CACHE_HOME: cache, PROTOKD_TUNING: undefined });
  try {
    const own = shared.counting();
    await applyTuning(own, { choose: () => Promise.reject(new Error("measured")) });
    assert.equal(tuningOf(own), defaultTuning(shared));
  } finally {
    restore();
    rmSync(cache, { recursive: true });
  }
});

/** Sets variables of the environment. Returns a function that restores them. */
function environment(variables: Readonly<Record<string, string | undefined>>): () => void {
  const set = (values: Readonly<Record<string, string | undefined>>) => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  set(variables);
  return () => set(before);
}

test("a choice in words names kernels and widths", () => {
  const words = tuningText({ ...defaultTuning(withLanes(32, 32)), halving: { kernel: "plain" } });
  assert.is(words, "forward subgroups (WG 32), weight gradient plain (WG 64), halving plain");
});

test.run();
