// The benchmarks check the results that they time. These tests show that the checks notice errors, and that
// every op is timed.

import { readdirSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Given, type KernelCase, relativeError } from "../../bench/kernels/case.ts";
import { kernelCases } from "../../bench/kernels/cases.ts";
import { convolutionCases } from "../../bench/kernels/convolutions.ts";
import { SUBJECTS } from "../../bench/lab.ts";
import { checkVersion } from "../../bench/lab/measure.ts";
import { volumeCases } from "../../bench/kernels/volumes.ts";
import { methodCosts, table } from "../../bench/methods.ts";
import { measureSteps } from "../../bench/step/measure.ts";
import { traceOf } from "../../bench/step/trace.ts";
import { channelsFirst, channelsLast, filterFirst, filterLast, oneHot } from "../../bench/peers/permute.ts";
import { array64, normal } from "../../bench/values.ts";
import { openDevice } from "../../cli/device/gpu.ts";
import { type Method, METHODS } from "../../model/methods/index.ts";
import type { Values } from "../../model/networks/params.ts";
import { type Array64, device, random } from "../support/gradcheck.ts";
import * as convolutions from "../support/reference/conv3d.ts";
import * as norms from "../support/reference/norms.ts";

const TOLERANCE = 1e-4; // that of npm run bench

const float = ({ shape, data }: Array64): Values => ({ shape, data: Float32Array.from(data) });

/** Draws the inputs of a case. */
const drawn = ({ inputs }: KernelCase): Record<string, Values> =>
  Object.fromEntries(Object.entries(inputs).map(([name, draw]) => [name, draw()]));

/** Finds a case by its op and the beginning of its detail. */
function find(cases: KernelCase[], op: string, detail: string): KernelCase {
  const found = cases.find((row) => row.op === op && row.detail.startsWith(detail));
  assert.ok(found, `${op} ${detail}`);
  return found;
}

/**
 * Fails unless the check accepts the right results, and refuses them with the last values doubled, or with
 * zeros.
 */
function discerns(row: KernelCase, given: Given, right: Values[]): void {
  const name = `${row.op} ${row.detail}, ${given.pass.name}`;
  const error = (results: Values[]) => row.check({ ...given, results });
  assert.ok(error(right) < 1e-6, `${name}: ${error(right)}`);
  const spoilt = right.map(({ shape, data }) => {
    const from = Math.floor(0.9 * data.length);
    return { shape, data: data.map((value, i) => (i >= from ? 2 * value : value)) };
  });
  assert.ok(!(error(spoilt) < TOLERANCE), `${name}: with values doubled`);
  const none = right.map(({ shape, data }) => ({ shape, data: new Float32Array(data.length) }));
  assert.ok(!(error(none) < TOLERANCE), `${name}: with zeros`);
}

const PATCH = [16, 16, 16];

const GEOMETRIES = [
  { op: "conv3d", detail: "3³, 4 to 2", stride: 1, padding: 1 },
  { op: "conv3d", detail: "2³, stride 2, 2 to 4", stride: 2, padding: 0 },
  { op: "conv3d", detail: "1³, 2 to 4", stride: 1, padding: 0 },
  { op: "convTranspose3d", detail: "2³, stride 2, 4 to 2", stride: 2, padding: 0 },
] as const;

for (const { op, detail, ...geometry } of GEOMETRIES) {
  test(`the benchmark of ${op} ${detail} notices a wrong value and wrong gradients`, () => {
    const row = find(convolutionCases(2, PATCH), op, detail);
    const inputs = drawn(row);
    const [x, weight] = [array64(inputs["x"]!), array64(inputs["weight"]!)];
    const bias = inputs["bias"] && array64(inputs["bias"]);
    const conv = (x: Array64, weight: Array64, bias?: Array64) => convolutions[op](x, weight, bias, geometry);
    const adjoint = op === "conv3d" ? convolutions.convTranspose3d : convolutions.conv3d;
    const y = conv(x, weight, bias);
    const dy = normal(y.shape, 99);
    const dweight = weight.data.map((_, j) => {
      const one = { shape: weight.shape, data: weight.data.map((_, i) => (i === j ? 1 : 0)) };
      return conv(x, one).data.reduce((sum, value, i) => sum + value * dy.data[i]!, 0);
    });
    const right: Record<string, Array64> = {
      forward: y,
      "data gradient": adjoint(array64(dy), weight, undefined, geometry),
      "weight gradient": { shape: weight.shape, data: dweight },
    };
    assert.equal(row.passes.map(({ name }) => name).sort(), Object.keys(right).sort());
    for (const pass of row.passes) {
      const given = { pass, inputs, dy: pass.by.length ? dy : null, results: [] };
      discerns(row, given, [float(right[pass.name]!)]);
    }
  });
}

test("the benchmark of instanceNorm notices a wrong value and any wrong gradient", () => {
  const row = find(volumeCases(2, [3, 4, 5]), "instanceNorm", "2");
  const inputs = drawn(row);
  const [x, weight, bias] = ["x", "weight", "bias"].map((name) => array64(inputs[name]!)) as [
    Array64,
    Array64,
    Array64,
  ];
  const y = norms.instanceNorm(x, weight, bias);
  const dy = random(y.shape, { seed: 99 });
  const objective = () =>
    norms.instanceNorm(x, weight, bias).data.reduce((sum, value, i) => sum + value * dy.data[i]!, 0);
  const gradients = [x, weight, bias].map(({ shape, data }) => ({
    shape,
    data: data.map((middle, i) => {
      const at = (value: number) => ((data[i] = value), objective());
      const slope = (at(middle + 1e-4) - at(middle - 1e-4)) / 2e-4;
      data[i] = middle;
      return slope;
    }),
  }));
  const [forward, backward] = row.passes as [Given["pass"], Given["pass"]];
  discerns(row, { pass: forward, inputs, dy: null, results: [] }, [float(y)]);
  const right = gradients.map(float);
  const given = { pass: backward, inputs, dy: float(dy), results: right };
  assert.ok(row.check(given) < 1e-5, `${row.check(given)}`);
  for (const wrong of [0, 1, 2]) {
    const results = right.map((gradient, i) =>
      i === wrong ? { ...gradient, data: gradient.data.map((value) => 1.01 * value) } : gradient,
    );
    assert.ok(!(row.check({ ...given, results }) < TOLERANCE), `gradient ${wrong}`);
  }
});

test("an error relative to zeros is 0 if all is zero, and else infinite", () => {
  assert.is(relativeError([0, 0], [0, 0]), 0);
  assert.ok(!(relativeError([0, 1e-9], [0, 0]) < TOLERANCE));
  assert.ok(!(relativeError([0, NaN], [0, 0]) < TOLERANCE));
});

/**
 * Ops of a few numbers, copies without a kernel, ops made of others that are timed, and ops of small
 * matrices.
 */
const UNTIMED = [
  "angleLoss",
  "barlowTwins",
  "cast",
  "channelRows",
  "classLevelKl",
  "contrastiveLoss",
  "fill",
  "linear",
  "normaliseRows",
  "regionScores",
  "samples",
  "scaleColumns",
  "softCrossEntropy",
  "softTargets",
  "stack",
  "statisticsL2",
  "teacherWeights",
  "weightedSum",
];

test("npm run bench times every op, except those that are too small to matter", () => {
  const timed = new Set(kernelCases({ filters: 2, patch: PATCH }).map(({ op }) => op));
  const folder = new URL("../../engine/ops/", import.meta.url);
  const ops = readdirSync(folder)
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => {
      const name = file.slice(0, -".ts".length);
      const text = readFileSync(new URL(file, folder), "utf8");
      const functions = Array.from(text.matchAll(/^export function (\w+)/gm), ([, exported]) => exported!);
      return functions.includes(name) ? [name] : functions; // a file without its op's name is a table of ops
    });
  assert.equal(
    ops.filter((op) => !timed.has(op)),
    UNTIMED,
  );
});

/** Not a multiple of any tile, and one channel more than a tile has. */
const LAB_SHAPE = { channels: 9, size: [3, 5, 11] } as const;

test("every version in the lab is right, and every file there is a version", async () => {
  const files = new Set<string>();
  for (const subject of Object.values(SUBJECTS)) {
    for (const version of subject.versions) {
      files.add(version.file);
      if (version.needs && !version.needs.met(device.lanes)) {
        console.log(`SKIPPED: ${version.file}: this adapter lacks ${version.needs.text}`);
        continue;
      }
      const { error } = await checkVersion(device, subject, version, LAB_SHAPE);
      assert.ok(error < 1e-6, `${version.file}: ${error}`);
    }
  }
  const lab = readdirSync(new URL("../../bench/lab", import.meta.url), { recursive: true, encoding: "utf8" });
  const shaders = lab.filter((path) => path.endsWith(".wgsl")).map((path) => `bench/lab/${path}`);
  assert.ok(shaders.length > 3);
  assert.equal(
    shaders.filter((path) => !files.has(path)),
    [],
  );
});

test("the lab notices a wrong result", () => {
  for (const [name, subject] of Object.entries(SUBJECTS)) {
    const inputs = subject.inputs(2, [3, 4, 5]);
    const shape = name === "weightGradient" ? [2, 2, 3, 3, 3] : inputs["x"]!.shape;
    assert.ok(!(subject.error(inputs, normal(shape, 5)) < TOLERANCE), name);
  }
});

test("a measured step reports time and memory by phase, and its trace has all dispatches on the GPU's track", async () => {
  const own = await openDevice();
  const options = {
    filters: 2,
    levels: 2,
    norm: "instance",
    patch: [8, 8, 8],
    batch: 2,
    steps: 1,
    precision: "f32",
    sees: "any",
  } as const;
  const reported: string[] = [];
  const measured = await measureSteps(own, { ...options, method: METHODS["protokd"]! }, (line) => {
    reported.push(line);
  });
  assert.is(reported.length, 3, "a first step, a timed one, a profiled one");
  assert.ok(measured.seconds > 0 && measured.recording > 0 && measured.share < 1);
  assert.ok(measured.peakBytes >= measured.keptBytes && measured.keptBytes > measured.restingBytes);
  const { phases, dispatches } = measured.profiled;
  const names = ["upload", "input", "teacher forward", "student forward", "losses", "backward", "optimizer"];
  assert.equal(
    phases.map(({ name }) => name),
    names,
  );
  assert.is(dispatches.length, measured.calls, "each call of so small a step is one dispatch");
  assert.equal([...new Set(dispatches.map(({ phase }) => phase))], names.slice(1));
  const drawn = traceOf(phases, dispatches).filter((event) => event.ph === "X");
  const gpu = drawn.filter(({ tid }) => tid === 2);
  assert.equal(
    gpu.map(({ name, cat }) => [name, cat]),
    dispatches.map(({ kernel, phase }) => [kernel, phase]),
  );
  assert.ok(drawn.every(({ ts, dur }) => ts >= 0 && dur >= 0));
  assert.is(Math.min(...gpu.map(({ ts }) => ts)), 0);
});

test("steps of methods take turns, and their table has multiples of the default method's", async () => {
  const sizes = { filters: 2, levels: 2, norm: "instance", patch: [16, 16, 16], batch: 2 } as const;
  const methods = [METHODS.none, METHODS.protokd] as Method[];
  const turns: string[] = [];
  const options = { ...sizes, precision: "f32", steps: 1, sees: "one" } as const;
  const costs = await methodCosts(methods, options, 2, (line) => turns.push(line.split(":")[0]!));
  assert.equal(turns, ["round 1, none", "round 1, protokd", "round 2, none", "round 2, protokd"]);
  const [alone, taught] = costs;
  assert.ok(alone!.peakBytes < taught!.peakBytes && alone!.calls < taught!.calls);
  const rows = [
    { method: "none", seconds: 0.5, peakBytes: 3 * 2 ** 20, calls: 7 },
    { method: "protokd", seconds: 2, peakBytes: 4 * 2 ** 20, calls: 9 },
  ];
  assert.equal(table(rows).slice(2), [
    "| none | 0.25 | 0.75 | 0.50 | 3.0 MiB | 7 |",
    "| protokd | 1.00 | 1.00 | 2.00 | 4.0 MiB | 9 |",
  ]);
});

test("layouts for other engines convert both ways, and a label becomes a map for each class", () => {
  const volume = normal([2, 3, 4, 5, 6]);
  const last = channelsLast(volume);
  assert.equal(last.shape, [2, 4, 5, 6, 3]);
  const at = (n: number, c: number, v: number) => volume.data[(n * 3 + c) * 120 + v];
  assert.is(last.data[(1 * 120 + 77) * 3 + 2], at(1, 2, 77));
  assert.equal(channelsFirst(last), volume);
  const kernel = normal([3, 2, 2, 2, 2]);
  assert.equal(filterLast(kernel).shape, [2, 2, 2, 2, 3]);
  assert.equal(filterFirst(filterLast(kernel)), kernel);
  const label = { shape: [2, 1, 1, 2], data: Float32Array.of(0, 2, 1, 2) };
  assert.equal([...oneHot(label, 3).data], [1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1]);
});

test.run();
