// jax-js. Every task is one jitted function, so that the library fuses as much as it can. Its arrays have
// reference counts: a function consumes its arguments, and `.ref` keeps one for another use.

import type { Values } from "../../model/networks/params.ts";
import { type Layer, vnetLayers, vnetShapes } from "../../model/networks/layers.ts";
import type { ConvolutionTask, Engine, NormTask, Prepared, Results, StepTask } from "./engine.ts";
import { installed } from "./installed.ts";
import { oneHot } from "./permute.ts";

/** The members of an array that are used here. */
interface Jax {
  ref: Jax;
  shape: number[];
  add: (other: Jax | number) => Jax;
  sub: (other: Jax | number) => Jax;
  mul: (other: Jax | number) => Jax;
  div: (other: Jax | number) => Jax;
  reshape: (shape: readonly number[]) => Jax;
  data: () => Promise<Float32Array>;
  dispose: () => void;
}

type Jitted = ((...inputs: Jax[]) => Jax[]) & { dispose: () => void };
/** The functions of the library that are used here. */
interface Library {
  init: (...devices: string[]) => Promise<string[]>;
  defaultDevice: (name: string) => void;
  getWebGPUDevice: () => GPUDevice;
  blockUntilReady: (made: readonly Jax[]) => Promise<unknown>;
  jit: (f: (...inputs: Jax[]) => Jax[]) => Jitted;
  valueAndGrad: (f: (inputs: Jax[]) => Jax) => (inputs: Jax[]) => [Jax, Jax[]];
  vjp: (f: (...inputs: Jax[]) => Jax, inputs: Jax[]) => [Jax, ((dy: Jax) => Jax[]) & { dispose: () => void }];
  numpy: { array: (data: Float32Array) => Jax; sum: (x: Jax) => Jax; sqrt: (x: Jax) => Jax };
  nn: {
    relu: (x: Jax) => Jax;
    logSoftmax: (x: Jax, axis: number) => Jax;
    standardize: (x: Jax, axis: number[], options: { epsilon: number }) => Jax;
  };
  lax: {
    convGeneralDilated: (x: Jax, weight: Jax, strides: number[], padding: "SAME" | "VALID") => Jax;
    convTranspose: (
      x: Jax,
      weight: Jax,
      strides: number[],
      padding: "VALID",
      options: { transposeKernel: true },
    ) => Jax;
  };
}

const EPS = 1e-5; // the norm's
const [BETA1, BETA2, ADAM_EPS] = [0.9, 0.999, 1e-8];

/** Opens the engine. Throws an Unsupported if it is not installed. */
export async function jax(): Promise<Engine> {
  const { module, version } = installed("@jax-js/jax");
  const library = module as Library;
  await library.init("webgpu");
  library.defaultDevice("webgpu");
  return {
    name: "jax",
    version,
    device: library.getWebGPUDevice(),
    prepare: (task) => {
      if (task.op === "conv3d") return convolution(library, task);
      return task.op === "instanceNorm" ? norm(library, task) : step(library, task);
    },
  };
}

function convolution(library: Library, { pass, x, weight, dy }: ConvolutionTask): Prepared {
  const { jit, vjp, lax } = library;
  const conv = (x: Jax, weight: Jax) => lax.convGeneralDilated(x, weight, [1, 1, 1], "SAME");
  /** The gradient of a function. Its value is unused, so that the library does not compute it. */
  const pulled = (f: (t: Jax) => Jax, at: Jax, dy: Jax) => {
    const [y, pull] = vjp(f, [at]);
    y.dispose();
    const gradients = pull(dy);
    pull.dispose();
    return gradients;
  };
  const functions: Readonly<Record<ConvolutionTask["pass"], (...inputs: Jax[]) => Jax[]>> = {
    forward: (x, weight) => [conv(x!, weight!)],
    "data gradient": (x, weight, dy) => pulled((x) => conv(x, weight!), x!, dy!),
    "weight gradient": (x, weight, dy) => pulled((weight) => conv(x!, weight), weight!, dy!),
  };
  const inputs = put(library, pass === "forward" ? [x, weight] : [x, weight, dy]);
  return prepared(library, jit(functions[pass]), inputs);
}

function norm(library: Library, { pass, x, weight, bias, dy }: NormTask): Prepared {
  const { jit, vjp } = library;
  const forward = (x: Jax, weight: Jax, bias: Jax) => instanceNorm(library, x, weight, bias);
  const backward = (...[x, weight, bias, dy]: Jax[]) => {
    const [y, pull] = vjp(forward as (...inputs: Jax[]) => Jax, [x!, weight!, bias!]);
    const gradients = pull(dy!);
    pull.dispose();
    return [y, ...gradients];
  };
  const [scale, shift] = [weight, bias].map(overVolume) as [Values, Values];
  if (pass === "forward") {
    const compute = jit((x, weight, bias) => [forward(x!, weight!, bias!)]);
    return prepared(library, compute, put(library, [x, scale, shift]));
  }
  return prepared(library, jit(backward), put(library, [x, scale, shift, dy]));
}

function instanceNorm({ nn }: Library, x: Jax, weight: Jax, bias: Jax): Jax {
  return nn.standardize(x, [2, 3, 4], { epsilon: EPS }).mul(weight).add(bias);
}

function step(library: Library, { config, params, x, label, rate }: StepTask): Prepared {
  const { jit, valueAndGrad, numpy, nn } = library;
  const layers = [...vnetLayers(config)];
  const names = [...vnetShapes(config).keys()];
  const voxels = label.data.length;

  /** One step of Adam. `first` and `second` are the bias corrections of its moments. */
  const update = jit((x, target, first, second, ...state) => {
    const [weights, means, squares] = thirds(state);
    const loss = (weights: Jax[]) => {
      const named = Object.fromEntries(names.map((name, i) => [name, weights[i]!]));
      const logs = nn.logSoftmax(network(library, named, layers, x!), 1);
      return numpy.sum(logs.mul(target!)).mul(-1 / voxels);
    };
    const [value, gradients] = valueAndGrad(loss)(weights.map((weight) => weight.ref));
    const next = gradients.map((g, i) => {
      const mean = means[i]!.mul(BETA1).add(g.ref.mul(1 - BETA1));
      const square = squares[i]!.mul(BETA2).add(g.ref.mul(g).mul(1 - BETA2));
      const root = numpy.sqrt(square.ref.mul(second!.ref)).add(ADAM_EPS);
      const change = mean.ref.mul(first!.ref).div(root).mul(rate);
      return [weights[i]!.sub(change), mean, square] as const;
    });
    first!.dispose();
    second!.dispose();
    return [value, ...[0, 1, 2].flatMap((k) => next.map((made) => made[k]!))];
  });

  const fixed = put(library, [x, oneHot(label, config.classes)]);
  const values = names.map((name) =>
    params[name]!.shape.length === 1 ? overVolume(params[name]!) : params[name]!,
  );
  const zeros = values.map(({ shape, data }) => ({ shape, data: new Float32Array(data.length) }));
  let state = put(library, [...values, ...zeros, ...zeros]);
  let steps = 0;
  return {
    run: (begin) => {
      begin();
      steps++;
      const corrections = [BETA1, BETA2].map((beta) => numpy.array(Float32Array.of(1 / (1 - beta ** steps))));
      const [loss, ...next] = update(...fixed.map((t) => t.ref), ...corrections, ...state);
      state = next;
      return results(library, [loss!], state);
    },
    finish: () => {
      [...fixed, ...state].forEach((t) => t.dispose());
      update.dispose();
    },
  };
}

function thirds(state: readonly Jax[]): [Jax[], Jax[], Jax[]] {
  const count = state.length / 3;
  return [state.slice(0, count), state.slice(count, 2 * count), state.slice(2 * count)];
}

function network(
  library: Library,
  params: Readonly<Record<string, Jax>>,
  layers: readonly Layer[],
  x: Jax,
): Jax {
  const { lax, nn } = library;
  const skips: Jax[] = [];
  for (const { kind, block, index } of layers) {
    const name = kind === "head" ? block : `${block}.${index}`;
    const after = `${block}.${index + 1}`;
    if (kind === "down") skips.push(x.ref);
    const weight = params[`${name}.weight`]!;
    const strides = kind === "down" ? [2, 2, 2] : [1, 1, 1];
    let y =
      kind === "up"
        ? lax.convTranspose(x, weight, [2, 2, 2], "VALID", { transposeKernel: true })
        : lax.convGeneralDilated(x, weight, strides, kind === "same" ? "SAME" : "VALID");
    const bias = params[`${name}.bias`];
    if (bias) y = y.add(bias);
    if (kind === "head") return y;
    const [scale, shift] = [params[`${after}.weight`]!, params[`${after}.bias`]!];
    y = nn.relu(instanceNorm(library, y, scale, shift));
    x = kind === "up" ? y.add(skips.pop()!) : y;
  }
  return x;
}

/** A vector [C] as [1,C,1,1,1]. */
function overVolume({ shape, data }: Values): Values {
  return { shape: [1, ...shape, 1, 1, 1], data };
}

function put({ numpy }: Library, values: readonly Values[]): Jax[] {
  return values.map(({ shape, data }) => numpy.array(data).reshape(shape));
}

function prepared(library: Library, compute: Jitted, inputs: readonly Jax[]): Prepared {
  return {
    run: (begin) => {
      begin();
      return results(library, compute(...inputs.map((t) => t.ref)));
    },
    finish: () => {
      inputs.forEach((t) => t.dispose());
      compute.dispose();
    },
  };
}

/**
 * Waits until the work is submitted. The library submits only on demand, in microtasks after it has compiled.
 */
async function results(
  { blockUntilReady }: Library,
  made: readonly Jax[],
  kept: readonly Jax[] = [],
): Promise<Results> {
  const ready = blockUntilReady([...made, ...kept]);
  await new Promise(setImmediate);
  return {
    read: () => Promise.all(made.map((t) => t.ref.data())),
    free: async () => {
      await ready;
      made.forEach((t) => t.dispose());
    },
  };
}
