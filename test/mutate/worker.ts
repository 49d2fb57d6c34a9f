// A process that tries mutants, one for each message. It runs in the copy of the project that shadow.ts
// makes, keeps its device and pipelines, and exchanges only the pipelines of the entry points that a mutant
// changes.
//
// Buffers are filled with NaN when they are created, and destroyed after every test: so elements that a
// mutant fails to write do not hold results of an earlier test.

import "./switch.ts"; // first, before what it switches
import { readFileSync } from "node:fs";
import { WgslReflect } from "wgsl_reflect/wgsl_reflect.module.js";
import { device as shared } from "../support/gradcheck.ts";
import { Device } from "../../engine/gpu/device.ts";
import { twin } from "../../engine/gpu/shader.ts";
import { type Listed, listed } from "./collect.ts";
import type { Mutation } from "./mutation.ts";
import { state } from "./switch.ts";
import { functionsOf } from "./wgsl.ts";

/** A request to run the tests of a file without a mutant, or to try a mutant on tests in this order. */
export type Request =
  { kind: "record"; file: string } | { kind: "try"; mutant: Mutant; tests: readonly TestId[] };

export interface Mutant extends Mutation {
  id: number;
}

export interface TestId {
  file: string;
  index: number;
}

/** A test as it ran without a mutant. */
export interface Recorded extends TestId {
  title: string;
  milliseconds: number;
  /** Labels of the pipelines it ran, such as `conv3d.wgsl/forward {"K":3}`, and of those compiled for it. */
  pipelines: string[];
  compiled: string[];
  /** The numbers of the modules' mutants whose code has run. */
  reached: number[];
  /** Why it failed, or null. */
  failure: string | null;
}

export type Reply =
  | { kind: "recorded"; tests: Recorded[] }
  | { kind: "trying"; test: TestId }
  | {
      kind: "tried";
      outcome: "killed" | "survived" | "invalid";
      by: TestId | null;
      /** True if the test that killed the mutant passes again without it. */
      clean: boolean;
    };

let active: Mutant | null = null;
let invalid: string | null = null; // Dawn's error about the active mutant's pipelines
const checks: Promise<void>[] = []; // of those pipelines
const pipelines = new Set<string>(); // labels of those that the running test ran
const compiled = new Set<string>();
const lasting = new Set<Device>([shared]); // devices that were opened by files
const passing = new Set<Device>(); // and by tests
const buffers: GPUBuffer[] = []; // of the running test
const files = new Map<string, Promise<Listed[]>>();

process.on("disconnect", () => process.exit());
process.on("message", (request: Request) => {
  const answer = request.kind === "record" ? record(request.file) : tryMutant(request.mutant, request.tests);
  void answer.then((reply) => process.send!(reply satisfies Reply));
});

async function record(file: string): Promise<Reply> {
  const tests: Recorded[] = [];
  for (const [index, { title }] of (await testsOf(file)).entries()) {
    for (const set of [pipelines, compiled, state.reached]) set.clear();
    const begin = performance.now();
    const failure = await run({ file, index });
    const milliseconds = performance.now() - begin;
    tests.push({
      file,
      index,
      title,
      milliseconds,
      failure,
      pipelines: [...pipelines],
      compiled: [...compiled],
      reached: [...state.reached],
    });
  }
  return { kind: "recorded", tests };
}

async function tryMutant(mutant: Mutant, tests: readonly TestId[]): Promise<Reply> {
  const tried = (outcome: "killed" | "survived" | "invalid", by: TestId | null = null, clean = true) =>
    ({ kind: "tried", outcome, by, clean }) as const;
  invalid = null;
  active = mutant;
  state.active = mutant.id;
  const restore = mutant.file.endsWith(".wgsl") ? exchangePipelines(mutant) : () => undefined;
  let by: TestId | null = null;
  try {
    if (mutant.file.endsWith(".wgsl")) invalid = await complaint(mutant);
    for (const test of tests) {
      if (invalid) break;
      process.send!({ kind: "trying", test } satisfies Reply);
      if ((await run(test)) === null) continue;
      by = test;
      break;
    }
    await Promise.all(checks.splice(0));
  } finally {
    active = null;
    state.active = NaN;
    restore();
  }
  if (invalid) return tried("invalid", by, by === null || (await run(by)) === null);
  return by ? tried("killed", by, (await run(by)) === null) : tried("survived");
}

/** Runs a test; why it failed, or null. */
async function run({ file, index }: TestId): Promise<string | null> {
  const { body } = (await testsOf(file))[index]!;
  let failure: string | null = null;
  try {
    await body();
  } catch (error) {
    failure = String(error);
  }
  await settle();
  return failure;
}

/** Destroys the buffers and devices of a test, and drops the errors that its devices still report. */
async function settle(): Promise<void> {
  for (const device of [...lasting, ...passing]) {
    device.trim();
    await device.gpu.queue.onSubmittedWorkDone().catch(() => undefined);
    try {
      device.check();
    } catch {
      // the error of the test that has ended
    }
  }
  for (const buffer of buffers.splice(0)) buffer.destroy();
  for (const device of passing) device.gpu.destroy();
  passing.clear();
}

const WHOLE_NETWORK = /\bV-Net\b/; // see shadow.ts

function testsOf(file: string): Promise<Listed[]> {
  const known = files.get(file);
  if (known) return known;
  const tests = import(new URL(`../${file}`, import.meta.url).href).then(() => {
    buffers.length = 0; // a file's own buffers stay
    for (const device of passing) lasting.add(device);
    passing.clear();
    return listed.splice(0).filter(({ title }) => !WHOLE_NETWORK.test(title));
  });
  files.set(file, tests);
  return tests;
}

// ---- shaders -----------------------------------------------------------------------------------

/** The text of a mutated shader. Every entry point keeps all its bindings. */
function codeOf({ file, start, end, text }: Mutant): string {
  const code = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
  const bodies = functionsOf(code);
  const edits = new WgslReflect(code).entry.compute.map(({ name, resources }) => {
    const at = bodies.get(name)!;
    return { start: at, end: at, text: resources.map((resource) => ` _ = &${resource.name};`).join("") };
  });
  return [...edits, { start, end, text }]
    .sort((a, b) => b.start - a.start)
    .reduce((code, edit) => code.slice(0, edit.start) + edit.text + code.slice(edit.end), code);
}

/** Dawn's error about a mutated shader, or null. */
async function complaint(mutant: Mutant): Promise<string | null> {
  const { gpu } = shared;
  gpu.pushErrorScope("validation");
  gpu.createShaderModule({ code: codeOf(mutant) });
  return (await gpu.popErrorScope())?.message ?? null;
}

/** Removes the pipelines that a mutant changes; the returned function puts them back. */
function exchangePipelines({ file, where }: Mutant): () => void {
  const name = file.replace(/^.*\//, "");
  const code = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
  const isEntry = new WgslReflect(code).entry.compute.some((entry) => entry.name === where);
  const changes = (key: string) => key.startsWith(isEntry ? `${name}/${where} ` : `${name}/`);
  const remove = () =>
    Array.from(lasting, (device) => {
      const removed = [...device.pipelines].filter(([key]) => changes(key));
      for (const [key] of removed) device.pipelines.delete(key);
      return { device, removed };
    });
  const before = remove();
  return () => {
    remove();
    for (const { device, removed } of before)
      for (const [key, pipeline] of removed) device.pipelines.set(key, pipeline);
  };
}

function listen(device: Device): void {
  device.listener.dispatch = (_, pipeline) => pipelines.add(pipeline.label);
}

listen(shared);
Device.opened.add((device) => {
  passing.add(device);
  listen(device);
});

const prototype = Object.getPrototypeOf(shared.gpu) as GPUDevice;
const { createBuffer, createComputePipeline, createShaderModule } = prototype;

prototype.createBuffer = function (this: GPUDevice, descriptor) {
  if (!(descriptor.usage & GPUBufferUsage.STORAGE)) return createBuffer.call(this, descriptor);
  const buffer = createBuffer.call(this, { ...descriptor, mappedAtCreation: true });
  new Float32Array(buffer.getMappedRange()).fill(NaN);
  buffer.unmap();
  buffers.push(buffer);
  return buffer;
};

prototype.createShaderModule = function (this: GPUDevice, descriptor) {
  const mine = active !== null && active.file === `shaders/${descriptor.label}`;
  if (!mine) return createShaderModule.call(this, descriptor);
  const code = codeOf(active!);
  const half = descriptor.code.startsWith("enable f16;");
  const wide = descriptor.code.includes("alias wide = vec4f;");
  return createShaderModule.call(this, { ...descriptor, code: twin(code, { half, wide }) });
};

prototype.createComputePipeline = function (this: GPUDevice, descriptor) {
  compiled.add(`${descriptor.label}`);
  if (!active?.file.endsWith(`/${descriptor.label?.replace(/\/.*$/, "")}`))
    return createComputePipeline.call(this, descriptor);
  this.pushErrorScope("validation");
  const pipeline = createComputePipeline.call(this, descriptor);
  checks.push(
    this.popErrorScope().then((error) => {
      if (error) invalid ??= error.message;
    }),
  );
  return pipeline;
};

prototype.createComputePipelineAsync = function (this: GPUDevice, descriptor) {
  return Promise.resolve(this.createComputePipeline(descriptor));
};
