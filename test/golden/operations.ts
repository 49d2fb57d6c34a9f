// Every operation of ours that a golden case can name, and its comparison with the case.

import * as engine from "../../engine/index.ts";
import { Adam, adamW, keep, type Optimizer, Sgd, type Tensor, tensor, vjp } from "../../engine/index.ts";
import { pixelKd, prototypeLoss } from "../../model/losses/losses.ts";
import { type Array64, device, relativeError, TOLERANCE } from "../support/gradcheck.ts";
import type { OpCase } from "./folder.ts";
import { methodRun } from "./methods.ts";

/** One comparison: a relative error ||got - want|| / ||want||, and the largest one that is allowed. */
export interface Measure {
  what: string;
  error: number;
  allowed: number;
}

type Run = (tensors: Record<string, Tensor>, attributes: Record<string, number>) => Tensor;

const running = (t: Record<string, Tensor>) => ({ mean: t["running_mean"]!, variance: t["running_var"]! });

/** By PyTorch's names of operations and of their arguments. */
const RUNS: Readonly<Record<string, Run>> = {
  conv3d: ({ x, weight, bias }, { stride, padding }) =>
    engine.conv3d(x!, weight!, bias ?? null, { stride: stride!, padding: padding! }),
  conv_transpose3d: ({ x, weight, bias }, { stride, padding, output_padding }) =>
    engine.convTranspose3d(x!, weight!, bias!, {
      stride: stride!,
      padding: padding!,
      outputPadding: output_padding!,
    }),
  instance_norm: ({ x, weight, bias }, { eps }) => engine.instanceNorm(x!, weight!, bias!, { eps: eps! }),
  batch_norm: (t, { training }) =>
    (training ? engine.batchNorm : engine.batchNormEval)(t["x"]!, t["weight"]!, t["bias"]!, running(t)),
  relu: ({ x }) => engine.relu(x!),
  leaky_relu: ({ x }) => engine.leakyRelu(x!, 0.01),
  gelu: ({ x }) => engine.gelu(x!),
  sigmoid: ({ x }) => engine.sigmoid(x!),
  tanh: ({ x }) => engine.tanh(x!),
  softmax: ({ x }) => engine.softmax(x!),
  log_softmax: ({ x }) => engine.logSoftmax(x!),
  max_pool3d: ({ x }) => engine.maxPool3d(x!),
  upsample: ({ x }, { mode }) =>
    (String(mode) === "nearest" ? engine.upsampleNearest : engine.upsampleTrilinear)(x!),
  concat: ({ a, b }) => engine.concat(a!, b!),
  linear: ({ x, weight, bias }) => engine.linear(x!, weight!, bias!),
  global_avg_pool: ({ x }) => engine.globalAveragePool(x!),
  dice_loss: ({ z, y }, { smooth }) => engine.diceLoss(z!, y!, smooth),
  weighted_ce: ({ z, y }) =>
    engine.crossEntropy(z!, y!, engine.classWeights(engine.classCounts(y!, z!.shape[1]!))),
  pixel_kd: ({ zs, zt }, { temperature }) => pixelKd(zs!, zt!, temperature),
  prototypes: ({ f, y }, { classes, eps }) => engine.prototypes(f!, y!, classes!, eps),
  cosine_maps: ({ f, P }, { eps }) => engine.cosineMaps(f!, P!, eps),
  proto_loss: ({ fs, ft, y }, { classes }) => prototypeLoss(fs!, ft!, y!, classes!),
  barlow_twins: ({ z1, z2 }, { lam, eps }) => engine.barlowTwins(z1!, z2!, { lambda: lam!, eps: eps! }),
  class_level_kl: ({ za, zb, ya, yb }, { temperature }) =>
    engine.classLevelKl(
      { logits: za!, label: ya! },
      { logits: zb!, label: yb! },
      { temperature: temperature!, absent: "uniform" },
    ),
  statistics_l2: ({ fs, ft }, { eps }) => engine.statisticsL2(fs!, ft!, eps),
};

const OPTIMIZERS: Readonly<Record<string, (params: Tensor[], options: Record<string, number>) => Optimizer>> =
  {
    adam: (params, { weight_decay }) => new Adam(params, { decay: weight_decay! }),
    adamw: (params, { weight_decay }) => adamW(params, { decay: weight_decay! }),
    sgd: (params, { weight_decay, momentum }) =>
      new Sgd(params, { decay: weight_decay!, momentum: momentum! }),
  };

/** True where an operation or a method of ours computes the case. */
export function isCovered(golden: OpCase): boolean {
  return opOf(golden) in OPTIMIZERS || runOf(golden) !== null;
}

function opOf({ attributes }: OpCase): string {
  return String(attributes["op"]);
}

/** Our computation of a case from its inputs; null where we have no such operation or method. */
function runOf(golden: OpCase): ((tensors: Record<string, Tensor>) => Tensor) | null {
  const run = RUNS[opOf(golden)];
  if (!run) return methodRun(golden);
  return (tensors) => run(tensors, golden.attributes as Record<string, number>);
}

/** Value and every gradient of a case; throws an Error where it is not covered. */
export async function measureOperation(golden: OpCase): Promise<Measure[]> {
  if (opOf(golden) in OPTIMIZERS) return measureOptimizer(golden);
  const run = runOf(golden) ?? fail(`${golden.name}: there is no operation '${opOf(golden)}'`);
  const tensors = Object.fromEntries(Object.entries(golden.in).map(([k, array]) => [k, upload(array)]));
  const names = Object.keys(golden.gin);
  const params = names.map((k) => tensors[k] ?? fail(`${golden.name}: no input ${k}`));
  const { gout, out } = golden;
  const cotangent = upload(gout.data.length === 1 ? { ...gout, shape: [] } : gout); // scalars
  const { output, grads } = vjp(params, () => run(tensors), cotangent);
  const measures = [compare("value", await output.read(), out, golden.float32["out"])];
  for (const [i, k] of names.entries()) {
    measures.push(compare(`gradient of ${k}`, await grads[i]!.read(), golden.gin[k]!, golden.float32[k]));
  }
  for (const [name, want] of Object.entries(golden.more)) {
    const updated = tensors[name.replace(/_after$/, "")] ?? fail(`${golden.name}: what is ${name}?`);
    measures.push(compare(`${name.replace(/_after$/, "")} after the step`, await updated.read(), want));
  }
  return measures;
}

/** Takes a step for each gradient of the case. The parameters are cut in two, to test the packing. */
async function measureOptimizer({ name, attributes, more }: OpCase): Promise<Measure[]> {
  const { start, grads, end } = more as Record<"start" | "grads" | "end", Array64>;
  const options = attributes as Record<string, number>;
  const size = start.data.length;
  const parts = [
    [0, size - 7],
    [size - 7, size],
  ] as const;
  const params = parts.map(([from, to]) => keep(tensor(device, [to - from], start.data.slice(from, to))));
  const optimizer = (OPTIMIZERS[String(options["op"])] ?? fail(name))(params, options);
  for (let at = 0; at < grads.data.length; at += size) {
    const pieces = parts.map(([from, to]) =>
      tensor(device, [to - from], grads.data.slice(at + from, at + to)),
    );
    optimizer.step(pieces, options["lr"]!);
  }
  const got = [...(await params[0]!.read()), ...(await params[1]!.read())];
  const moved = (values: ArrayLike<number>) => Array.from(values, (v, i) => v - start.data[i]!);
  return [
    compare("parameters", got, end),
    // The start outweighs the steps, so the change is compared by itself: a difference of float32 values near
    // 1.
    { what: "what the steps did", error: relativeError(moved(got), moved(end.data)), allowed: 2e-4 },
  ];
}

/** At most 5e-6, or five times what PyTorch's own float32 is off in the case. */
function compare(what: string, got: ArrayLike<number>, want: Array64, float32 = 0): Measure {
  const error = got.length === want.data.length ? relativeError(got, want.data) : Infinity;
  return { what, error, allowed: Math.max(TOLERANCE, 5 * float32) };
}

function upload({ shape, data }: Array64): Tensor {
  return tensor(device, shape, data);
}

function fail(message: string): never {
  throw new Error(`golden: ${message}`);
}
