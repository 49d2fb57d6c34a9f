// The choice of kernels: every candidate computes the same, the fastest right one is taken, and it is kept.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../../cli/device/gpu.ts";
import { applyTuning, readTuning, tuningFile, tuningText } from "../../cli/device/tuning.ts";
import {
  candidates,
  defaultTuning,
  type Device,
  isTuning,
  type Tuning,
  tune,
  tuningOf,
} from "../../engine/index.ts";
import { device as shared } from "../support/gradcheck.ts";
import { silenced } from "../support/quietly.ts";

const text = (value: unknown) => JSON.stringify(value);

test("the default is what fits the lanes of a subgroup", () => {
  const kernels = (min: number, max: number) => text(Object.values(defaultTuning({ min, max })));
  assert.is(kernels(8, 8), text([{ kernel: "eight" }, { kernel: "eight" }, { kernel: "halving" }]));
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
  for (const lanes of [
    { min: 0, max: 0 },
    { min: 8, max: 8 },
    { min: 16, max: 32 },
  ]) {
    for (const all of Object.values(candidates(lanes))) {
      assert.is(new Set(all.map(text)).size, all.length);
    }
    assert.ok(isTuning(JSON.parse(text(defaultTuning(lanes))), lanes));
  }
  const plain = { min: 0, max: 0 };
  assert.not(isTuning(defaultTuning({ min: 8, max: 8 }), plain), "kernels of eight lanes elsewhere");
  const odd = { ...defaultTuning(plain), weightGradient: { kernel: "plain", WG: 63 } };
  for (const value of [odd, {}, null, "eight", 3, undefined]) assert.not(isTuning(value, plain));
});

/** A device on which few candidates are left, since each takes seconds to compile. */
async function small(): Promise<Device> {
  const own = await openDevice();
  return Object.defineProperty(own, "lanes", { value: { min: 0, max: 0 } });
}

/** Says that a call takes as long as `milliseconds` has it for what is being tried. */
const timer = (milliseconds: (tuning: Tuning) => number) => (own: Device) =>
  Promise.resolve(milliseconds(tuningOf(own)));

test("the fastest of the right candidates is taken, and the default where a gain is too small", async () => {
  const own = await small();
  const before = (own.tuning = defaultTuning(own.lanes));
  const width = ({ forward }: Tuning) => (forward.kernel === "plain" ? forward.WG : 0);
  assert.equal(
    await tune(
      own,
      timer((tuning) => (width(tuning) === 64 ? 100 : 98)),
    ),
    before,
    "2 % is chance",
  );
  assert.is(own.tuning, before, "a choice is returned, not made");
  const fast = { kernel: "plain", WG: 128, TW: 4 } as const;
  const favoured = timer(({ forward }) => (text(forward) === text(fast) ? 50 : 100));
  assert.equal(await tune(own, favoured), { ...before, forward: fast });
  spoil(own, `conv3d.wgsl/forward {"WG":128,"K":3,"S":1,"P":1,"TW":4}`);
  assert.equal(await tune(own, favoured), before, "as fast as it may be, it is wrong");
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

test("a choice is kept for its adapter, read again, and a file that is none is as if there were none", async () => {
  const cache = mkdtempSync(join(tmpdir(), "protokd-"));
  const known = {
    XDG_CACHE_HOME: process.env["XDG_CACHE_HOME"],
    PROTOKD_TUNING: process.env["PROTOKD_TUNING"],
  };
  Object.assign(process.env, { XDG_CACHE_HOME: cache, PROTOKD_TUNING: "" });
  const own = await small();
  const { adapter } = own;
  Object.defineProperty(own, "adapter", { value: { ...plainAdapter, info: adapter.info } });
  try {
    const path = tuningFile();
    assert.is(path, join(cache, "protokd", "tuning.json"));
    assert.is(await readTuning(own.adapter), null);
    const chosen: Tuning = { ...defaultTuning(own.lanes), weightGradient: { kernel: "plain", WG: 128 } };
    own.tuning = defaultTuning(own.lanes);
    const said = await silenced(() =>
      applyTuning(own, { retune: true, choose: () => Promise.resolve(chosen) }),
    );
    assert.match(said.join("\n"), /weight gradient plain \(WG 128\)/);
    assert.equal(own.tuning, chosen);
    assert.equal(await readTuning(own.adapter), chosen);
    const kept = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    const [key] = Object.keys(kept);
    assert.match(key!, / \| kernels \d+$/);

    own.tuning = defaultTuning(own.lanes);
    await applyTuning(own, { choose: () => Promise.reject(new Error("what is kept is not sought again")) });
    assert.equal(own.tuning, chosen);
    const recorded: Tuning = { ...chosen, weightGradient: { kernel: "plain", WG: 32 } };
    await applyTuning(own, { recorded });
    assert.equal(own.tuning, recorded, "a run's own choice comes first");
    await applyTuning(own, { recorded: defaultTuning({ min: 8, max: 8 }) });
    assert.equal(own.tuning, chosen, "unless this adapter cannot run it");
    own.tuning = defaultTuning(own.lanes);
    process.env["PROTOKD_TUNING"] = "off";
    await applyTuning(own, { recorded });
    assert.equal(own.tuning, defaultTuning(own.lanes), "switched off");

    writeFileSync(path, JSON.stringify({ other: 1, [key!]: { ...chosen, halving: { kernel: "halving" } } }));
    assert.is(await readTuning(own.adapter), null, "not for these lanes");
    for (const broken of ["", "{", "3", "null", "[]"]) {
      writeFileSync(path, broken);
      assert.is(await readTuning(own.adapter), null);
    }
  } finally {
    own.gpu.destroy();
    for (const [name, value] of Object.entries(known)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    rmSync(cache, { recursive: true });
  }
});

/** An adapter without features. */
const plainAdapter = { features: new Set<string>() };

test("a software adapter takes the default without measuring", async () => {
  const { isFallbackAdapter, architecture, description } = shared.adapter.info;
  if (!isFallbackAdapter && !/swiftshader|llvmpipe/i.test(`${architecture} ${description}`))
    return console.log("SKIPPED: the default of software adapters: this one is none");
  const known = process.env["PROTOKD_TUNING"];
  delete process.env["PROTOKD_TUNING"];
  try {
    const choose = () => Promise.reject(new Error("nothing is measured"));
    const info = { ...describing(shared.adapter.info), description: "llvmpipe of a test" };
    const own = Object.assign(Object.create(shared) as Device, { adapter: { ...plainAdapter, info } });
    await applyTuning(own, { choose });
    assert.equal(tuningOf(own), tuningOf(shared));
  } finally {
    if (known !== undefined) process.env["PROTOKD_TUNING"] = known;
  }
});

const describing = ({ vendor, architecture, device, description }: GPUAdapterInfo) => {
  return { vendor, architecture, device, description };
};

test("a choice in words names kernels and widths", () => {
  const words = tuningText({ ...defaultTuning({ min: 32, max: 32 }), halving: { kernel: "plain" } });
  assert.is(words, "forward subgroups (WG 32), weight gradient plain (WG 64), halving plain");
});

test.run();
