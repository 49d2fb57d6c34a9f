import {
  columnMeans,
  fill,
  gelu,
  batchNorm,
  globalAveragePool,
  linear,
  meanEntropy,
  MovingAverage,
  normaliseRows,
  samples,
  softCrossEntropy,
  softTargets,
  stack,
  type Tensor,
  weightedSum,
} from "../../engine/index.ts";
import type { Terms } from "../losses/losses.ts";
import { type BatchOutput, whole } from "../networks/parts.ts";
import { vnetEncoder } from "../networks/vnet.ts";
import { choice, share, whole as count } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";
import { method, type NetworkSpec, type OwnTensor } from "./method.ts";
import { widthOf } from "./taps.ts";

const COOLING = 0.1; // the student's temperature
const SHARPENING = { from: 0.04, to: 0.07, over: 0.07 }; // the teacher's temperature, and its rise
const CENTER = 0.9; // the center's momentum
const RECENT = 0.98; // momentum of the observed averages: of some 50 steps
const WARMUP = 0.1; // of the training, in which nothing is judged
const [LEAST, MOST] = [0.5, 0.98]; // entropies of a collapse, as shares of log K
const DEVIATION = 0.02; // of first weights
const WIDEST = 65536; // layer of a head

/**
 * DeSD: pretraining without labels. The student's encoder sees one view of a patch and predicts, at every
 * level, what its own moving average says of the other view at the last level.
 * Its formula and what is verified are in its fields below.
 */
export const desd = method({
  name: "desd",
  title: "DeSD",
  source: "Ye et al., MICCAI 2022",
  formula: `L = mean over levels l of ½ [CE(P_0, s_l,1) + CE(P_1, s_l,0)], of two views 0 and 1 of each patch
CE(P, s) = -Σ_k P_k log softmax(s / 0.1)_k        P = softmax((t - c) / τ), a constant
s_l = head_l(mean of E_l over voxels), l = 2 … L;  t the same of the teacher at level L alone
head: three layers with batch norm and GELU between, divided by its length, times K rows of length 1
teacher ← m teacher + (1 - m) student        c ← 0.9 c + 0.1 mean of t
τ from 0.04 to 0.07 over the first 7 % of the training;  m from 0.996 to 1, along a cosine`,
  verified:
    "Verified in the authors' code (github.com/yeerwen/DeSD): the loss, the heads' layers, all levels against " +
    "the teacher's last one, the center, τ, m, and that the rows of K are not trained in the first epoch. " +
    "Our choices: a V-Net's encoder, smaller heads (theirs: 2048, 256, 60000), Adam, " +
    "patches of 32³ in batches of 16 (theirs: 192), the strength of the augmentations, a rate that decays to " +
    "0, and when the watch on the entropies stops a training. The authors' fine-tuning is not published. " +
    "No gain was measured yet: see docs/how-to/pretraining.md.",
  settings: {
    desdTaps: row(choice(["deep", "last"], "levels"), {
      help: "levels of the encoder that learn from the teacher: all but the first, or the last alone",
      default: "deep",
      page: { label: "Levels that learn" },
    }),
    desdHidden: row(count(1, WIDEST), {
      help: "numbers in the inner layers of the heads",
      default: 256,
      page: { label: "Inner width of heads" },
    }),
    desdEmbedding: row(count(1, WIDEST), {
      help: "numbers that a head compares with its prototypes",
      default: 64,
      page: { label: "Width before prototypes" },
    }),
    desdPrototypes: row(count(2, WIDEST), {
      help: "prototypes of a head",
      default: 1024,
      page: { label: "Prototypes" },
    }),
    desdNorm: row(choice(["none", "batch"]), {
      help: "normalisation in the heads, as in the authors' code, or none; without it our trials collapsed",
      default: "batch",
      page: { label: "Norm of heads" },
    }),
    desdMomentum: row(share(), {
      help: "part of the teacher that a step keeps, at the start; at the end it keeps all",
      default: 0.996,
      page: { label: "Teacher's momentum" },
    }),
  },
  defaults: {
    batch: 16,
    patch: [32, 32, 32],
    augment: "views",
    lr: 1e-3,
    schedule: "cosine",
    weightDecay: 1e-6,
  },
  leastBatch: () => 2,
  networks: ({ network, settings }) => ({
    student: { spec: encoderOf(network), group: "main" },
    teacher: { averageOf: "student", momentum: momentumOf(settings) },
  }),
  deployed: null,
  saved: "teacher",
  phases({ network: { config }, settings }, epochs) {
    const holds = tapsOf(config.levels, settings.desdTaps).map(prototypesOf);
    const first = { name: "first epoch", share: 1 / epochs, holds };
    const rest = { name: "training", share: 1 - 1 / epochs, continues: true } as const;
    return epochs > 1 ? [first, rest] : [first];
  },
  streams: () => ({ first: { view: 0 }, second: { view: 1 } }),
  own: ({ network, settings }) => {
    const taps = tapsOf(network.config.levels, settings.desdTaps);
    const heads = taps.map((tap) => headTensors(tap, widthOf(network, tap), settings));
    const last = Object.keys(heads.at(-1)!).map((name): [string, OwnTensor] => {
      return [name.replace(/^E_\d/, "teacher"), { averageOf: name, momentum: momentumOf(settings) }];
    });
    const prototypes = settings.desdPrototypes;
    const state = (shape: readonly number[], value: number): OwnTensor => ({
      shape,
      init: { value },
      state: true,
    });
    return {
      ...(Object.assign({}, ...heads) as Record<string, OwnTensor>),
      ...Object.fromEntries(last),
      center: state([1, prototypes], 0),
      recentMean: state([1, prototypes], 1 / prototypes),
      recentEntropy: state([], 0),
    };
  },
  step({ networks: { student, teacher }, own, batch, settings, done, update, after, observe }) {
    const views = [batch.first, batch.second];
    const taps = tapsOf(student.spec.config.levels, settings.desdTaps);
    const last = taps.at(-1)!;
    const { center, recentMean, recentEntropy } = own as Record<string, Tensor>;
    const rows = (outputs: readonly BatchOutput[], tap: string, head: string) =>
      desdHead(
        stack(outputs.map((output) => globalAveragePool(whole(output.taps[tap]!)))),
        headOf(own, head),
      );
    const seen = views.map((view) => teacher.run(view, { taps: [last] }));
    const taught = rows(seen, last, "teacher");
    const targets = softTargets(taught, center!, teacherTemperature(done));
    const crossed = exchanged(targets);
    update("main", () => {
      const outputs = views.map((view) => student.run(view, { taps }));
      const terms = taps.map((tap) => {
        const loss = softCrossEntropy(rows(outputs, tap, tap), crossed, COOLING);
        return [tap, [1 / taps.length, loss]] as const;
      });
      return Object.fromEntries(terms) as Terms;
    });
    const [means, predictions, entropy] = [columnMeans(taught), columnMeans(targets), meanEntropy(targets)];
    const even = Math.log(settings.desdPrototypes);
    observe(["entropy/mean"], weightedSum([[1 / even, meanEntropy(recentMean!)]]));
    observe(["entropy/sample"], weightedSum([[1 / even, recentEntropy!]]));
    after(() => {
      new MovingAverage([[center!, means]]).update(CENTER);
      const recent = [
        [recentMean!, predictions],
        [recentEntropy!, entropy],
      ] as const;
      new MovingAverage(recent).update(RECENT);
    });
  },
  judge: ({ "entropy/mean": mean, "entropy/sample": sample }, done) => {
    const of = (entropy: number) => `${(100 * entropy).toFixed(1)} % of the most possible`;
    if (done < WARMUP) return null;
    if (mean! < LEAST)
      return (
        "the pretraining has collapsed: the teacher says nearly the same of all patches (the entropy of its mean " +
        `prediction is ${of(mean!)}, and should be above ${100 * LEAST} %): use a lower --lr, a larger ` +
        "--batch, or more cases"
      );
    if (sample! > MOST)
      return (
        "the pretraining has collapsed: the teacher's predictions say nothing of any patch (their entropy is " +
        `${of(sample!)}, and should be below ${100 * MOST} %): use --desd-norm batch with a larger --batch, ` +
        "a higher --lr, or more cases"
      );
    return null;
  },
});

/** The part of a student's network that is pretrained. */
function encoderOf({ config: { deepSupervision: _, ...config }, ...spec }: NetworkSpec): NetworkSpec {
  return { ...spec, config, architecture: vnetEncoder };
}

/** The encoder's outputs that are compared. */
function tapsOf(levels: number, taps: "deep" | "last"): string[] {
  const all = Array.from({ length: levels - 1 }, (_, i) => `E_${i + 2}`);
  return taps === "deep" ? all : all.slice(-1);
}

/** The name of a head's prototypes, which are not trained in the first epoch. */
function prototypesOf(head: string): string {
  return `${head}/v`;
}

/** The teacher's temperature when a part of the training is done. */
function teacherTemperature(done: number): number {
  const { from, to, over } = SHARPENING;
  return from + (to - from) * Math.min(1, done / over);
}

/** The teacher's momentum when a part of the training is done, from its first value to 1. */
function momentumOf({ desdMomentum }: { desdMomentum: number }): (done: number) => number {
  return (done) => 1 - ((1 - desdMomentum) * (1 + Math.cos(Math.PI * done))) / 2;
}

/** The rows of the other view: [a; b] → [b; a], for a constant. */
export function exchanged(rows: Tensor): Tensor {
  const [count = 0] = rows.shape;
  return stack([samples(rows, count / 2, count), samples(rows, 0, count / 2)]);
}

/** The tensors of a head by the names in desdHead(). */
export type DesdHead = Record<"w1" | "w2" | "w3" | "b3" | "v", Tensor> &
  Partial<Record<"b1" | "b2" | "n1" | "m1" | "n2" | "m2", Tensor>>;

/**
 * A head of DeSD: linear, batch norm (with n and m alone), GELU, the same again, linear, divided by its
 * length, times rows of length 1: x [N,C] → [N,K].
 */
export function desdHead(x: Tensor, { w1, b1, w2, b2, w3, b3, v, n1, m1, n2, m2 }: DesdHead): Tensor {
  const first = gelu(normed(linear(x, w1, b1), n1, m1));
  const second = gelu(normed(linear(first, w2, b2), n2, m2));
  return linear(normaliseRows(linear(second, w3, b3)), normaliseRows(v));
}

/** Batch norm by the batch alone, if there are a weight and a bias. */
function normed(x: Tensor, weight?: Tensor, bias?: Tensor): Tensor {
  if (!weight || !bias) return x;
  const unused = { mean: fill(x.device, weight.shape, 0), variance: fill(x.device, weight.shape, 1) };
  return batchNorm(x, weight, bias, unused);
}

function headOf(own: Readonly<Record<string, Tensor>>, name: string): DesdHead {
  const found = Object.entries(own).filter(([key]) => key.startsWith(`${name}/`));
  return Object.fromEntries(found.map(([key, tensor]) => [key.slice(name.length + 1), tensor])) as DesdHead;
}

/** The tensors of a head of C inputs. */
function headTensors(
  name: string,
  inputs: number,
  { desdHidden, desdEmbedding, desdPrototypes, desdNorm }: Settings,
): Record<string, OwnTensor> {
  const layer = (shape: readonly number[]): OwnTensor => ({
    shape,
    init: { normal: DEVIATION },
    group: "main",
  });
  const vector = (size: number, value = 0): OwnTensor => ({ shape: [size], init: { value }, group: "main" });
  const between = (i: number) =>
    desdNorm === "batch"
      ? { [`${name}/n${i}`]: vector(desdHidden, 1), [`${name}/m${i}`]: vector(desdHidden) }
      : { [`${name}/b${i}`]: vector(desdHidden) };
  return {
    [`${name}/w1`]: layer([desdHidden, inputs]),
    ...between(1),
    [`${name}/w2`]: layer([desdHidden, desdHidden]),
    ...between(2),
    [`${name}/w3`]: layer([desdEmbedding, desdHidden]),
    [`${name}/b3`]: vector(desdEmbedding),
    [prototypesOf(name)]: layer([desdPrototypes, desdEmbedding]),
  };
}

type Settings = {
  desdHidden: number;
  desdEmbedding: number;
  desdPrototypes: number;
  desdNorm: "none" | "batch";
};
