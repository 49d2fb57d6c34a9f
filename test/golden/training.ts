// Training of a golden network's student with ProtoKD, step by step: on the GPU as the trainer does it, and
// in float64, where a pass may use the GPU's own values.

import * as engine from "../../engine/index.ts";
import { Adam, grad, keep, scope, type Tensor, tensor } from "../../engine/index.ts";
import { FEATURES, protokdTerms, total, type Terms } from "../../model/losses/losses.ts";
import type { Mode } from "../../model/networks/architecture.ts";
import { type Layer, layerTensors } from "../../model/networks/layers.ts";
import { initialise, type Network } from "../../model/networks/network.ts";
import { Params, type Values } from "../../model/networks/params.ts";
import { type BatchOutput, forwardBatch } from "../../model/networks/parts.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";
import { device } from "../support/gradcheck.ts";
import { type Extent, type Output64, protokdGradient } from "../support/reference/protokdGradient.ts";
import { Float64Vnet, node, type Operations, walk } from "../support/reference/vnet.ts";
import { LOSSES, type Losses, type NetworkCase } from "./folder.ts";

/** A batch [N,M,D,H,W] with its labels [N,D,H,W], and the student's modality of it [N,1,D,H,W]. */
interface Batch {
  images: Values;
  image: Values;
  label: Values;
}

type Vectors = Record<string, Float32Array | Float64Array>;

/** The network of a case with so many input channels. */
function config(golden: NetworkCase, modalities: number): VnetConfig {
  return { modalities, classes: 4, filters: golden.filters, levels: 5, norm: golden.norm };
}

/** Tensors of a case whose names begin with `prefix`, by the rest of their names. */
export function weightsOf(
  { tensors, norm }: NetworkCase,
  who: "teacher" | "student",
): Record<string, Values> {
  const prefix = `${norm}.${who}.`;
  const own = Object.entries(tensors).filter(([k]) => k.startsWith(prefix) && !k.endsWith("_tracked"));
  return Object.fromEntries(own.map(([k, v]) => [k.slice(prefix.length), v as Values]));
}

function batchOf({ tensors, modality }: NetworkCase): Batch {
  const { batch, labels } = tensors as Record<"batch" | "labels", Values>;
  const [N, M, ...size] = batch.shape as [number, number, ...number[]];
  const voxels = size.reduce((a, b) => a * b, 1);
  const data = new Float32Array(N * voxels);
  for (let n = 0; n < N; n++) {
    const from = (n * M + modality) * voxels;
    data.set(batch.data.subarray(from, from + voxels), n * voxels);
  }
  return {
    images: batch,
    image: { shape: [N, 1, ...size], data },
    label: { shape: labels.shape, data: Float32Array.from(labels.data) },
  };
}

/** One step's losses, and its gradient by name; before the step's parameters change. */
export interface Step {
  losses: Losses;
  gradient: Vectors;
}

/** The training on the GPU. */
export class GpuTraining {
  readonly student: Params;
  readonly #network: Network;
  readonly #golden: NetworkCase;
  readonly #x: Tensor;
  readonly #label: Tensor;
  readonly #guide: BatchOutput;
  readonly #optimizer: Adam;

  constructor(golden: NetworkCase) {
    const { images, image, label } = batchOf(golden);
    const upload = ({ shape, data }: Values) => keep(tensor(device, shape, data));
    this.#golden = golden;
    this.#x = upload(image);
    this.#label = upload(label);
    const network = (who: "teacher" | "student", modalities: number): Network => {
      const params = new Params(device, { values: weightsOf(golden, who) });
      const made = { params, config: config(golden, modalities) };
      initialise(device, made, images.shape.slice(2));
      return made;
    };
    this.#guide = run(network("teacher", 4), upload(images), "eval");
    this.#network = network("student", 1);
    this.student = this.#network.params;
    this.#optimizer = new Adam(this.student.trained, { decay: golden.decay });
  }

  /** Names of the trained tensors, in the optimizer's order. */
  get names(): string[] {
    const trained = new Set(this.student.trained);
    return [...this.student.tensors].filter(([, t]) => trained.has(t)).map(([name]) => name);
  }

  teacherOutput(): Promise<Output32> {
    return read(this.#guide);
  }

  output(): Promise<Output32> {
    return read(this.#forward());
  }

  /** The result of each operation of the forward pass at the present parameters, in order. */
  async operations(): Promise<Float32Array[]> {
    const made: Tensor[] = [];
    scope(() => {
      walk(config(this.#golden, 1), this.#x, gpuOperations(this.student, this.#golden.norm, made));
    });
    const values = await Promise.all(made.map((t) => t.read()));
    made.forEach(engine.free);
    return values;
  }

  async step(): Promise<Step> {
    let terms: Terms = {};
    const { loss, grads } = grad(this.student.trained, () => {
      terms = protokdTerms(this.#forward(), this.#guide, this.#label);
      Object.values(terms).forEach(([, t]) => keep(t));
      return total(terms);
    });
    const losses = {
      ce: await terms["crossEntropy"]![1].item(),
      dice: await terms["dice"]![1].item(),
      kd: await terms["kd"]![1].item(),
      proto: await terms["prototype"]![1].item(),
      total: await loss.item(),
    };
    const values = await Promise.all(grads.map((g) => g.read()));
    const gradient = Object.fromEntries(this.names.map((name, i) => [name, values[i]!]));
    this.#optimizer.step(grads, this.#golden.rate);
    return { losses, gradient };
  }

  #forward(): BatchOutput {
    return run(this.#network, this.#x, "train");
  }
}

interface Output32 {
  features: Float32Array;
  logits: Float32Array;
}

function run(network: Network, x: Tensor, mode: Mode): BatchOutput {
  return forwardBatch(network, x, { mode, taps: [FEATURES] }, x.shape[0]!);
}

async function read({ taps, logits }: BatchOutput): Promise<Output32> {
  const [features] = taps[FEATURES]!;
  return { features: await features!.read(), logits: await logits.read() };
}

/** The engine's operations; each result is kept, and noted in `made`. */
function gpuOperations(params: Params, norm: VnetConfig["norm"], made: Tensor[]): Operations<Tensor> {
  const note = (y: Tensor) => {
    made.push(keep(y));
    return y;
  };
  const tensors = (layer: Layer) => layerTensors(params, layer, norm);
  const moments = new Map<Tensor, Tensor | null>(); // of convolutions, by their results
  return {
    convolve(x, layer) {
      const { weight, bias } = tensors(layer);
      if (layer.kind === "up") return note(engine.convTranspose3d(x, weight, bias!));
      if (layer.kind !== "same")
        return note(engine.conv3d(x, weight, bias, layer.kind === "down" ? { stride: 2 } : {}));
      const made = engine.conv3dWithMoments(x, weight, bias); // as in model/networks/vnet.ts
      moments.set(made.y, made.moments);
      return note(made.y);
    },
    normalise(x, layer) {
      const { weight, bias, running } = tensors(layer).norm!;
      const options = { moments: moments.get(x) ?? null };
      return note(
        running
          ? engine.batchNorm(x, weight, bias, running, options)
          : engine.instanceNorm(x, weight, bias, options),
      );
    },
    relu: (x) => note(engine.relu(x)),
    add: (a, b) => note(engine.add(a, b)),
  };
}

/** The same training in float64. */
export class Float64Training {
  readonly #golden: NetworkCase;
  readonly #batch: Batch;
  readonly #extent: Extent;
  readonly #params: Vectors;
  readonly #adam: Adam64;
  readonly guide: Output64;

  constructor(golden: NetworkCase) {
    this.#golden = golden;
    this.#batch = batchOf(golden);
    const { images, label } = this.#batch;
    const batch = images.shape[0]!;
    this.#extent = { batch, channels: golden.filters, classes: 4, voxels: label.data.length / batch };
    this.#params = float64(weightsOf(golden, "student"));
    this.#adam = new Adam64(this.#params, golden);
    const teacher = weightsOf(golden, "teacher");
    const x = node(images.shape, images.data);
    const { features, logits } = new Float64Vnet(config(golden, 4), teacher, x, { mode: "eval" });
    this.guide = { features: features.data, logits: logits.data };
  }

  step(): Step {
    const step = this.at(this.#params, this.guide);
    this.#adam.step(step.gradient);
    return step;
  }

  /** A step at given parameters, beside a given teacher, and at the `own` values of another arithmetic. */
  at(
    params: Vectors,
    guide: Output64 | Output32,
    own?: readonly Float32Array[],
  ): Step & { pass: Float64Vnet } {
    const pass = this.forward(params, own);
    const student = { features: pass.features.data, logits: pass.logits.data };
    const teacher = {
      features: Float64Array.from(guide.features),
      logits: Float64Array.from(guide.logits),
    };
    const { losses, gradient } = protokdGradient(student, teacher, this.#batch.label.data, this.#extent);
    pass.features.grad.set(gradient.features);
    pass.logits.grad.set(gradient.logits);
    pass.backward();
    const entries = [...pass.params].map(([name, { grad: g }]) => [name, g] as const);
    return { losses, gradient: Object.fromEntries(entries), pass };
  }

  forward(params: Vectors, own?: readonly Float32Array[]): Float64Vnet {
    const { shape, data } = this.#batch.image;
    const values = Object.fromEntries(Object.entries(params).map(([k, v]) => [k, { data: v }]));
    return new Float64Vnet(config(this.#golden, 1), values, node(shape, data), own ? { own } : {});
  }
}

/** Adam as Kingma and Ba (2015) have it, the decay added to the gradient as PyTorch does. */
export class Adam64 {
  readonly #params: Vectors;
  readonly #rate: number;
  readonly #decay: number;
  readonly #moments = new Map<string, { m: Float64Array; v: Float64Array }>();
  #steps = 0;

  constructor(params: Vectors, { rate, decay }: { rate: number; decay: number }) {
    this.#params = params;
    this.#rate = rate;
    this.#decay = decay;
  }

  step(gradient: Vectors): void {
    this.#steps++;
    for (const [name, g] of Object.entries(gradient)) {
      const p = this.#params[name]!;
      const zeros = () => new Float64Array(p.length);
      const { m, v } = this.#moments.get(name) ?? { m: zeros(), v: zeros() };
      this.#moments.set(name, { m, v });
      for (let i = 0; i < p.length; i++) {
        const slope = g[i]! + this.#decay * p[i]!;
        m[i] = 0.9 * m[i]! + 0.1 * slope;
        v[i] = 0.999 * v[i]! + 0.001 * slope ** 2;
        const mean = m[i]! / (1 - 0.9 ** this.#steps);
        const deviation = Math.sqrt(v[i]! / (1 - 0.999 ** this.#steps));
        p[i]! -= (this.#rate * mean) / (deviation + 1e-8);
      }
    }
  }
}

/** Copies in float64. */
export function float64(values: Record<string, Values>): Vectors {
  return Object.fromEntries(Object.entries(values).map(([k, { data }]) => [k, Float64Array.from(data)]));
}

/** All of a step's losses, in one order. */
export function lossesOf({ losses }: Step): [keyof Losses, number][] {
  return LOSSES.map((k) => [k, losses[k]]);
}
