// Measures an adapter's ceilings: multiply-adds per second by loops that do nothing else, bytes per second by
// copies. Which form of a loop or a copy is fastest differs between adapters, so several are tried first.

import { type Device, fill, free, keep, scope, type Tensor, tensor } from "../engine/index.ts";
import { spread } from "../engine/gpu/grid.ts";
import type { Stopwatch, Work } from "./stopwatch.ts";

export interface Ceilings {
  /** Operations per second: a multiply-add is two. */
  operations: number;
  /** Bytes per second, read and written. */
  bytes: number;
}

/** One form of a ceiling's kernel, and how many operations or bytes a call of it is. */
interface Form {
  name: string;
  work: Work;
  amount: number;
}

const INVOCATIONS = 2 ** 18; // enough to fill a large GPU
const UNROLLED = 32; // below that, software adapters spend their time on the loop
const LOOP_MS = 30;
const FEW = 1; // rounds of the trial that tells how many rounds last LOOP_MS

/** The ceilings of a device. `measure` repeats the measurement, because the speed of a machine varies. */
export class CeilingsBench {
  /** The fastest forms, such as `8 f32 accumulators, workgroups of 64`. */
  readonly forms: { operations: string; bytes: string };
  readonly #stopwatch: Stopwatch;
  readonly #best: Forms;
  readonly #tensors: readonly Tensor[];

  private constructor(stopwatch: Stopwatch, best: Forms, tensors: readonly Tensor[]) {
    this.#stopwatch = stopwatch;
    this.#best = best;
    this.#tensors = tensors;
    this.forms = { operations: best.operations.name, bytes: best.bytes.name };
  }

  /** Finds the fastest forms. A copy has `elements` elements: a small one would stay in caches. */
  static async open(device: Device, stopwatch: Stopwatch, elements: number): Promise<CeilingsBench> {
    const from = keep(fill(device, [4 * Math.ceil(elements / 4)], 1));
    const to = keep(fill(device, from.shape, 0));
    const y = keep(fill(device, [INVOCATIONS], 0));
    const terms = keep(tensor(device, [2], [0.5, 0.5])); // not constants, which a compiler would fold
    const count = keep(tensor(device, [1], bits(FEW)));
    const loopsOf = (rounds: number) =>
      LOOPS.flatMap((loop) =>
        WIDTHS.map((width) => multiplyAdds({ ...loop, width }, rounds, [y, terms, count])),
      );
    const [short] = await stopwatch.time(loopsOf(FEW)[0]!.work, 1);
    const rounds = Math.ceil(FEW * Math.max(1, LOOP_MS / short!));
    count.write(bits(rounds));
    const loops = loopsOf(rounds);
    const copies = COPIES.flatMap((type) => WIDTHS.map((width) => copy(device, { from, to, type, width })));
    const best = { operations: await fastest(stopwatch, loops), bytes: await fastest(stopwatch, copies) };
    return new CeilingsBench(stopwatch, best, [from, to, y, terms, count]);
  }

  free(): void {
    this.#tensors.forEach(free);
  }

  /** Measures the ceilings as they are now. */
  async measure(): Promise<Ceilings> {
    const { operations, bytes } = this.#best;
    return {
      operations: await rate(this.#stopwatch, operations, 3),
      bytes: await rate(this.#stopwatch, bytes, 3),
    };
  }
}

const LOOPS = [
  { type: "f32", accumulators: 8 },
  { type: "f32", accumulators: 12 },
  { type: "vec4f", accumulators: 4 },
  { type: "vec4f", accumulators: 8 },
] as const;
const COPIES = ["f32", "vec4f"] as const;
const WIDTHS = [64, 256] as const;

async function fastest(stopwatch: Stopwatch, forms: readonly Form[]): Promise<Form> {
  let best = { form: forms[0]!, rate: 0 };
  for (const form of forms) {
    const now = await rate(stopwatch, form, 2);
    if (now > best.rate) best = { form, rate: now };
  }
  return best.form;
}

/**
 * Operations or bytes per second, in the shortest sample. The rows of a table use their shortest sample too.
 */
async function rate(stopwatch: Stopwatch, { work, amount }: Form, samples: number): Promise<number> {
  return (1000 * amount) / (await stopwatch.time(work, samples))[0]!;
}

type Forms = Readonly<Record<keyof Ceilings, Form>>;

interface Loop {
  type: "f32" | "vec4f";
  accumulators: number;
  width: number;
}

/** A loop of `rounds` rounds of multiply-adds. */
function multiplyAdds(loop: Loop, rounds: number, tensors: readonly [Tensor, Tensor, Tensor]): Form {
  const { type, accumulators, width } = loop;
  const { device } = tensors[0];
  const name = `${accumulators} ${type} accumulators, workgroups of ${width}`;
  const pipeline = compile(device, `multiply-adds, ${name}`, loopShader(loop), width);
  const lanes = type === "f32" ? 1 : 4;
  return {
    name,
    amount: 2 * INVOCATIONS * accumulators * lanes * UNROLLED * rounds,
    work: dispatch(device, pipeline, tensors, INVOCATIONS / width),
  };
}

/** The bits of a u32, for a tensor of f32 that a shader reads as u32. */
function bits(value: number): Float32Array<ArrayBuffer> {
  return new Float32Array(Uint32Array.of(value).buffer);
}

function loopShader({ type, accumulators }: Loop): string {
  const names = Array.from({ length: accumulators }, (_, i) => `a${i}`);
  const round = names.map((a) => `${a} = fma(${a}, factor, term);`).join(" ");
  return `
    override WG: u32;
    @group(0) @binding(0) var<storage, read_write> y: array<f32>;
    @group(0) @binding(1) var<storage, read> terms: array<f32>;
    @group(0) @binding(2) var<storage, read> count: array<u32>;

    @compute @workgroup_size(WG)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let factor = ${type}(terms[0]);
      let term = ${type}(terms[1]);
      ${names.map((a, i) => `var ${a} = ${type}(f32(id.x) + ${i}.0);`).join("\n      ")}
      for (var i = 0u; i < count[0]; i++) {
        ${Array<string>(UNROLLED).fill(round).join("\n        ")}
      }
      y[id.x] = ${names.map((a) => (type === "f32" ? a : `dot(${a}, vec4f(1))`)).join(" + ")};
    }`;
}

/** A copy of one tensor to another; an invocation copies one element or four. */
function copy(
  device: Device,
  { from, to, type, width }: { from: Tensor; to: Tensor; type: "f32" | "vec4f"; width: number },
): Form {
  const name = `${type}, workgroups of ${width}`;
  const shader = `
    override WG: u32;
    @group(0) @binding(0) var<storage, read> x: array<${type}>;
    @group(0) @binding(1) var<storage, read_write> y: array<${type}>;

    @compute @workgroup_size(WG)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = id.x + id.y * groups.x * WG;
      if (i >= arrayLength(&y)) { return; }
      y[i] = x[i];
    }`;
  const pipeline = compile(device, `copy, ${name}`, shader, width);
  const invocations = from.size / (type === "f32" ? 1 : 4);
  return {
    name,
    amount: 8 * from.size,
    work: dispatch(device, pipeline, [from, to], Math.ceil(invocations / width)),
  };
}

function compile(device: Device, label: string, code: string, width: number): GPUComputePipeline {
  const module = device.gpu.createShaderModule({ label, code });
  const compute = { module, entryPoint: "main", constants: { WG: width } };
  return device.gpu.createComputePipeline({ label, layout: "auto", compute });
}

function dispatch(
  device: Device,
  pipeline: GPUComputePipeline,
  tensors: readonly Tensor[],
  groups: number,
): Work {
  const entries = tensors.map(({ binding }, i) => ({ binding: i, resource: binding }));
  const group = device.gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const record = (begin: () => void) =>
    scope(() => {
      begin();
      device.reserve(0);
      device.dispatch(pipeline.label, pipeline, group, null, spread(groups, device.widest));
    });
  return { record, before: null };
}
