// TensorFlow.js with its WebGPU backend. It has no instance norm, so this uses moments() as its users do. It
// has no gradient of conv3dTranspose, which is defined here by the kernels of conv3d's gradients. Its WebGPU
// kernels do not broadcast tensors of five axes, so norms and biases see volumes as [N,voxels,C].

import type { Values } from "../../model/networks/params.ts";
import { type Layer, vnetLayers, vnetShapes } from "../../model/networks/layers.ts";
import type { ConvolutionTask, Engine, NormTask, Prepared, StepTask } from "./engine.ts";
import { installed } from "./installed.ts";
import { channelsFirst, channelsLast, filterFirst, filterLast, oneHot } from "./permute.ts";

/** The members of a tensor that are used here. */
interface Tensor {
  shape: number[];
  data: () => Promise<Float32Array>;
  dispose: () => void;
}

type Gradient = (dy: Tensor, save: Tensor[]) => Tensor[];

/** The functions of the library that are used here. */
interface Tf {
  setBackend: (name: string) => Promise<boolean>;
  backend: () => Backend;
  tensor: (data: Float32Array, shape: readonly number[]) => Tensor;
  variable: (initial: Tensor) => Tensor;
  tidy: <T>(f: () => T) => T;
  keep: (x: Tensor) => Tensor;
  conv3d: (x: Tensor, filter: Tensor, strides: number, pad: "same" | "valid") => Tensor;
  conv3dTranspose: (x: Tensor, filter: Tensor, shape: number[], strides: number, pad: "valid") => Tensor;
  customGrad: (
    f: (x: Tensor, filter: Tensor, save: (t: Tensor[]) => void) => { value: Tensor; gradFunc: Gradient },
  ) => (x: Tensor, filter: Tensor) => Tensor;
  engine: () => { runKernel: (name: string, inputs: object, attributes: object) => Tensor };
  moments: (x: Tensor, axes: number[], keepDims: boolean) => { mean: Tensor; variance: Tensor };
  valueAndGrads: (
    f: (x: Tensor, weight: Tensor, bias: Tensor) => Tensor,
  ) => (inputs: [Tensor, Tensor, Tensor], dy: Tensor) => { value: Tensor; grads: Tensor[] };
  logSoftmax: (x: Tensor) => Tensor;
  train: { adam: (rate: number, beta1: number, beta2: number, eps: number) => Optimizer };
  add: (a: Tensor, b: Tensor | number) => Tensor;
  sub: (a: Tensor, b: Tensor) => Tensor;
  mul: (a: Tensor, b: Tensor | number) => Tensor;
  rsqrt: (x: Tensor) => Tensor;
  reshape: (x: Tensor, shape: readonly number[]) => Tensor;
  relu: (x: Tensor) => Tensor;
  sum: (x: Tensor) => Tensor;
}

/** The members of the backend that submit the commands it has collected. */
interface Backend {
  device: GPUDevice;
  ensureCommandEncoderReady: () => void;
  endComputePassEncoder: () => void;
  submitQueue: () => void;
}

interface Optimizer {
  minimize: (f: () => Tensor, returnCost: true) => Tensor;
  dispose: () => void;
}

const EPS = 1e-5; // the norm's

/** Opens the engine. Throws an Unsupported if it is not installed. */
export async function tfjs(): Promise<Engine> {
  const { module, version } = installed("@tensorflow/tfjs");
  installed("@tensorflow/tfjs-backend-webgpu"); // it registers itself
  const tf = module as Tf;
  await tf.setBackend("webgpu");
  return {
    name: "tfjs",
    version,
    device: tf.backend().device,
    prepare: (task) => {
      if (task.op === "conv3d") return convolution(tf, task);
      return task.op === "instanceNorm" ? norm(tf, task) : step(tf, task);
    },
  };
}

function convolution(tf: Tf, { pass, x, weight, dy }: ConvolutionTask): Prepared {
  const [data, filter, cotangent] = put(tf, [channelsLast(x), filterLast(weight), channelsLast(dy)]) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const config = { strides: [1, 1, 1], pad: "same" };
  const inputShape = data.shape;
  const filterShape = filter.shape;
  const kernels = {
    forward: () => tf.conv3d(data, filter, 1, "same"),
    "data gradient": () =>
      tf.engine().runKernel("Conv3DBackpropInputV2", { filter, dy: cotangent }, { ...config, inputShape }),
    "weight gradient": () =>
      tf.engine().runKernel("Conv3DBackpropFilterV2", { x: data, dy: cotangent }, { ...config, filterShape }),
  };
  const layout = pass === "weight gradient" ? filterFirst : channelsFirst;
  return prepared(tf, [data, filter, cotangent], () => [kernels[pass]()], [layout]);
}

function norm(tf: Tf, { pass, x, weight, bias, dy }: NormTask): Prepared {
  const inputs = put(tf, [channelsLast(x), weight, bias, channelsLast(dy)]);
  const [data, scale, shift, cotangent] = inputs as [Tensor, Tensor, Tensor, Tensor];
  const forward = (x: Tensor, weight: Tensor, bias: Tensor) =>
    tf.reshape(instanceNorm(tf, flat(tf, x), weight, bias), x.shape);
  if (pass === "forward") {
    return prepared(tf, inputs, () => [forward(data, scale, shift)], [channelsFirst]);
  }
  const both = tf.valueAndGrads(forward);
  const compute = () => {
    const { value, grads } = both([data, scale, shift], cotangent);
    return [value, ...grads];
  };
  return prepared(tf, inputs, compute, [channelsFirst, channelsFirst, same, same]);
}

/** [N,D,H,W,C] as [N,voxels,C]. */
function flat(tf: Tf, x: Tensor): Tensor {
  return tf.reshape(x, [x.shape[0]!, -1, x.shape.at(-1)!]);
}

/** Instance norm of x [N,voxels,C]. */
function instanceNorm(tf: Tf, x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const { mean, variance } = tf.moments(x, [1], true);
  const standard = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, EPS)));
  return tf.add(tf.mul(standard, weight), bias);
}

function step(tf: Tf, { config, params, x, label, rate }: StepTask): Prepared {
  const [image, maps] = put(tf, [channelsLast(x), channelsLast(oneHot(label, config.classes))]) as [
    Tensor,
    Tensor,
  ];
  const target = flat(tf, maps);
  maps.dispose();
  const tensors: Record<string, Tensor> = {};
  for (const name of vnetShapes(config).keys()) {
    const values = params[name]!;
    const [initial] = put(tf, [values.shape.length === 5 ? filterLast(values) : values]);
    tensors[name] = tf.variable(initial!);
    initial!.dispose();
  }
  const optimizer = tf.train.adam(rate, 0.9, 0.999, 1e-8);
  const layers = [...vnetLayers(config)];
  const voxels = label.data.length;
  const loss = () =>
    tf.mul(tf.sum(tf.mul(target, tf.logSoftmax(network(tf, tensors, layers, image)))), -1 / voxels);
  const { run, finish } = prepared(tf, [image, target], () => [optimizer.minimize(loss, true)], [same]);
  return {
    run,
    finish: () => {
      finish();
      optimizer.dispose();
      Object.values(tensors).forEach((t) => t.dispose());
    },
  };
}

function network(
  tf: Tf,
  params: Readonly<Record<string, Tensor>>,
  layers: readonly Layer[],
  x: Tensor,
): Tensor {
  const skips: Tensor[] = [];
  for (const { kind, block, index } of layers) {
    const name = kind === "head" ? block : `${block}.${index}`;
    const after = `${block}.${index + 1}`;
    if (kind === "down") skips.push(x);
    const filter = params[`${name}.weight`]!;
    const [stride, pad] = kind === "down" ? ([2, "valid"] as const) : ([1, "same"] as const);
    const volume = kind === "up" ? transposed(tf)(x, filter) : tf.conv3d(x, filter, stride, pad);
    const bias = params[`${name}.bias`];
    const y = bias ? tf.add(flat(tf, volume), bias) : flat(tf, volume);
    if (kind === "head") return y;
    const standard = instanceNorm(tf, y, params[`${after}.weight`]!, params[`${after}.bias`]!);
    x = tf.reshape(tf.relu(standard), volume.shape);
    if (kind === "up") x = tf.add(x, skips.pop()!);
  }
  return x;
}

/** conv3dTranspose 2³ at stride 2 with a gradient, which is made of a convolution and its weight gradient. */
function transposed(tf: Tf): (x: Tensor, filter: Tensor) => Tensor {
  return tf.customGrad((x, filter, save) => {
    const [batch = 1, D = 1, H = 1, W = 1] = x.shape;
    save([x, filter]);
    return {
      value: tf.conv3dTranspose(x, filter, [batch, 2 * D, 2 * H, 2 * W, filter.shape[3]!], 2, "valid"),
      gradFunc: (dy, [x, filter]) => [
        tf.conv3d(dy, filter!, 2, "valid"),
        tf
          .engine()
          .runKernel(
            "Conv3DBackpropFilterV2",
            { x: dy, dy: x! },
            { strides: [2, 2, 2], pad: "valid", filterShape: filter!.shape },
          ),
      ],
    };
  });
}

type Layout = (values: Values) => Values;
const same: Layout = (values) => values;

function put(tf: Tf, values: readonly Values[]): Tensor[] {
  return values.map(({ shape, data }) => tf.tensor(data, shape));
}

function prepared(
  tf: Tf,
  inputs: readonly Tensor[],
  compute: () => Tensor[],
  layouts: readonly Layout[],
): Prepared {
  return {
    run: (begin) => {
      begin();
      const made = tf.tidy(compute);
      submit(tf.backend());
      return {
        read: async () => {
          const results: Float32Array[] = [];
          for (const [i, t] of made.entries()) {
            results.push(layouts[i]!({ shape: t.shape, data: await t.data() }).data);
          }
          return results;
        },
        free: () => made.forEach((t) => t.dispose()),
      };
    },
    finish: () => inputs.forEach((t) => t.dispose()),
  };
}

function submit(backend: Backend): void {
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.submitQueue();
}
