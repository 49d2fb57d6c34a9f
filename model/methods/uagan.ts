import { type Tensor, type Term, weightedSum } from "../../engine/index.ts";
import { blended, classLoss, gradientPenalty, mean, meanAbsoluteError } from "../losses/adversarial.ts";
import type { Terms } from "../losses/losses.ts";
import { critic as judge, CONTRASTS, GRADIENT } from "../networks/critic.ts";
import { type BatchOutput, whole } from "../networks/parts.ts";
import { TRANSLATION, translator, twoStream } from "../networks/twoStream.ts";
import { number } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";
import { method, type NetworkSpec, type OptimizerSpec, type Step } from "./method.ts";
import { deeplySupervised, scaled, segmentation } from "./segmentation.ts";
import { unpaired } from "./settings.ts";

/**
 * UAGAN: one network learns every contrast from batches of different patients, and translates each into the
 * others; a critic judges the translations.
 * Its formula and what is verified are in its fields below.
 */
export const uagan = method({
  name: "uagan",
  title: "UAGAN",
  source: "Yuan et al., MICCAI 2019 (arXiv 1907.03548)",
  formula: `each contrast c of the batch is translated into c', a permutation of the contrasts: x' = G(x, c')
L_G = the mean over c of L_seg(x) + adversarialWeight · (CE(class of x', c') - D(x'))
      + cycleWeight · mean |x - G(x', c)| + shapeWeight · ramp · L_seg(x')
L_D = the mean over c of D(x') - D(x) + CE(class of x, c) + penaltyWeight · mean (‖∇D(m)‖ - 1)²
m = a·x + (1 - a)·x' with a uniform in 0 … 1 for each sample; ramp rises from 0 to 1 over 60 % of the steps`,
  verified:
    "Verified in the authors' code (2D): both streams with a shared lowest level and gates of attention, " +
    "StarGAN's critic without norm, the terms and their ratios (there L_seg has weight 100, the adversarial " +
    "terms 1 and the cycle 10: we divide all by 100, which Adam does not notice), the penalty of the sum of " +
    "the patches' realness, and the linear decay of the rate over the last 40 %. Our choices: patches in 3D, " +
    "a V-Net for each stream, L_seg with Dice, the mean of the last features for the critic's classes, " +
    "beta1 of 0.5, the generator's update before the critic's, and no dropout. Not yet tuned.",
  eachContrast: true,
  slow: "each step trains two networks, and runs the larger one four times for each contrast",
  settings: {
    adversarialWeight: row(number(), {
      help: "weight of the critic's judgement of translated images; with 0 there is no critic",
      default: 0.01,
      page: { label: "Weight of the critic" },
    }),
    cycleWeight: row(number(), {
      help: "weight of the difference between an image and its translation back",
      default: 0.1,
      page: { label: "Weight of the translation back" },
    }),
    shapeWeight: row(number(), {
      help: "weight of the labels' loss of translated images, reached after 60 % of the steps",
      default: 1,
      page: { label: "Weight of the labels of translations" },
    }),
    penaltyWeight: row(number(), {
      help: "weight of the critic's gradient penalty",
      default: 10,
      page: { label: "Weight of the gradient penalty" },
    }),
    unpaired,
  },
  defaults: { modality: "each", lr: 1e-4, schedule: "decay", weightDecay: 0 },
  networks: ({ network, settings }) => ({
    generator: { spec: generatorOf(network, settings), group: "main" },
    critic: { spec: criticOf(network), group: "critic", onlyInTraining: true },
  }),
  deployed: "generator",
  groups: ({ optimizer }) => ({ main: adversarial(optimizer), critic: adversarial(optimizer) }),
  streams: ({ network: { modalities }, settings }) =>
    Object.fromEntries(
      modalities.map((sees, i) => [
        sees,
        settings.unpaired ? { sees, patients: (index: number) => index % modalities.length === i } : { sees },
      ]),
    ),
  step(context) {
    const { networks, batch, settings, random, update } = context;
    const contrasts = networks.generator.spec.modalities;
    const targets = isTranslating(settings) ? random.shuffle([...contrasts]) : contrasts;
    const tasks = contrasts.map((own, i) => ({
      own,
      target: targets[i]!,
      batch: batch[own]!,
      real: batch[own]!.images([own]),
      classes: [i, contrasts.indexOf(targets[i]!)] as const,
    }));
    update("main", () => generatorTerms(context, tasks));
    if (settings.adversarialWeight === 0) return;
    const judged = tasks.map(({ own: _, target, real, classes: [known] }) => {
      const fake = translated(networks.generator.run(real, { domain: target, taps: [TRANSLATION] }));
      const shares = Array.from({ length: real.shape[0]! }, () => random.next());
      return { real, fake, known, mixed: blended(real, fake, shares) };
    });
    update("critic", () => criticTerms(context, judged));
  },
});

type Weights = Record<"adversarialWeight" | "cycleWeight" | "shapeWeight" | "penaltyWeight", number>;
type Context = Step<"generator" | "critic", Weights, string>;

/** A contrast's batch, and the contrast that it is translated into; `classes` are their numbers. */
interface Task {
  own: string;
  target: string;
  batch: Parameters<typeof segmentation>[1];
  real: Tensor;
  classes: readonly [own: number, target: number];
}

function isTranslating({ adversarialWeight, cycleWeight, shapeWeight }: Weights): boolean {
  return adversarialWeight !== 0 || cycleWeight !== 0 || shapeWeight !== 0;
}

function generatorOf(network: NetworkSpec, settings: Weights): NetworkSpec {
  const architecture = isTranslating(settings) ? translator : twoStream;
  return { ...network, architecture, banks: network.modalities };
}

function criticOf({ config, modalities }: NetworkSpec): NetworkSpec {
  return {
    architecture: judge,
    config: { ...config, modalities: 1, classes: modalities.length },
    modalities,
  };
}

function adversarial(optimizer: OptimizerSpec): OptimizerSpec {
  return { ...optimizer, beta1: 0.5, beta2: 0.999 };
}

/** L_G: the labels' terms by contrast, and each other term as the mean over the contrasts. */
function generatorTerms({ networks, settings, done }: Context, tasks: readonly Task[]): Terms {
  const { adversarialWeight, cycleWeight, shapeWeight } = settings;
  const ramp = Math.min(1, Math.max(done, 1e-3) / 0.6); // above 0: each tensor has a gradient in each step
  const taps = isTranslating(settings) ? [TRANSLATION] : [];
  const labels: Record<string, Term> = {};
  const means = new Means(tasks.length);
  for (const { own, target, batch, real, classes } of tasks) {
    const output = networks.generator.run(real, { domain: target, taps });
    const supervised = deeplySupervised(segmentation(output, batch), output, batch);
    for (const [name, term] of Object.entries(scaled(supervised, 1 / tasks.length)))
      labels[`${own}.${name}`] = term;
    if (!taps.length) continue;
    const fake = translated(output);
    if (adversarialWeight !== 0) {
      const { logits, taps: heads } = networks.critic.run(fake, { taps: [CONTRASTS] });
      means.add("realness", adversarialWeight, mean(logits), -1);
      means.add("targetClass", adversarialWeight, classOf(heads[CONTRASTS]!, classes[1]));
    }
    if (cycleWeight === 0 && shapeWeight === 0) continue;
    const back = networks.generator.run(fake, { domain: own, taps: cycleWeight === 0 ? [] : taps });
    if (cycleWeight !== 0) means.add("cycle", cycleWeight, meanAbsoluteError(real, translated(back)));
    if (shapeWeight === 0) continue;
    const { crossEntropy, dice } = segmentation(back, batch);
    means.add("shapeCrossEntropy", shapeWeight * ramp, crossEntropy![1]);
    means.add("shapeDice", shapeWeight * ramp, dice![1]);
  }
  return { ...labels, ...means.terms() };
}

/** An image, its translation and a mixture of both, and the number of the image's contrast. */
interface Judged {
  real: Tensor;
  fake: Tensor;
  mixed: Tensor;
  known: number;
}

/** L_D, the mean over the contrasts. */
function criticTerms({ networks: { critic }, settings }: Context, all: readonly Judged[]): Terms {
  const means = new Means(all.length);
  for (const { real, fake, mixed, known } of all) {
    const seen = critic.run(real, { taps: [CONTRASTS] });
    means.add("real", 1, mean(seen.logits), -1);
    means.add("fake", 1, mean(critic.run(fake).logits));
    means.add("class", 1, classOf(seen.taps[CONTRASTS]!, known));
    if (settings.penaltyWeight === 0) continue;
    const { taps } = critic.run(mixed, { taps: [GRADIENT] });
    means.add("penalty", settings.penaltyWeight, gradientPenalty(whole(taps[GRADIENT]!)));
  }
  return means.terms();
}

/** The cross-entropy of a batch of one contrast. */
function classOf(parts: readonly Tensor[], contrast: number): Tensor {
  const logits = whole(parts);
  return classLoss(logits, Array<number>(logits.shape[0]!).fill(contrast));
}

function translated({ taps }: BatchOutput): Tensor {
  return whole(taps[TRANSLATION]!);
}

/** Terms whose scalar is the mean over the contrasts. */
class Means {
  readonly #share: number;
  readonly #terms = new Map<string, { weight: number; sum: Term[] }>();

  constructor(contrasts: number) {
    this.#share = 1 / contrasts;
  }

  /** Adds one contrast's scalar, times a sign. */
  add(name: string, weight: number, scalar: Tensor, sign: 1 | -1 = 1): void {
    const sum: Term[] = this.#terms.get(name)?.sum ?? [];
    sum.push([sign * this.#share, scalar]);
    this.#terms.set(name, { weight, sum });
  }

  terms(): Terms {
    const entries = [...this.#terms].map(([name, { weight, sum }]) => [name, [weight, weightedSum(sum)]]);
    return Object.fromEntries(entries) as Terms;
  }
}
