import {
  binaryLosses,
  cast,
  channelRows,
  classCounts,
  linear,
  meanSquaredError,
  regionScores,
  regionsPresent,
  scaleColumns,
  scoreLoss,
  type Tensor,
  type Term,
  weightedSum,
} from "../../engine/index.ts";
import { largest } from "../../engine/values.ts";
import { CLASSIFIER_HEAD, vnetClassifier } from "../networks/classifier.ts";
import { type BatchOutput, whole } from "../networks/parts.ts";
import { UsageError } from "../settings/errors.ts";
import { number, part } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";
import { type DeviceBatch, method, type NetworkSpec, type OwnTensor, type Role, TEACHER } from "./method.ts";
import { REGION_CLASSES } from "./segmentation.ts";
import { bottleneckOf, widthOf } from "./taps.ts";

const FEATURES = "features"; // the phases
const PRESENCE = "presence";
const DETECTOR = "detector"; // the group of the heads on the teacher's regions
const SHARPENED = 2; // times both logits of the detector, where it teaches
const REGIONS = REGION_CLASSES.length;

/**
 * WSD: a classifier of what a patch shows learns from regions that a segmentation network tells apart.
 * Its formula and what is verified are in its fields below.
 */
export const wsd = method({
  name: "wsd",
  title: "WSD",
  source: "Liu et al., ACM MM 2018 (arXiv 1809.05884)",
  formula: `The student says whether a patch shows WT, TC and ET: bits y_k. Regions r: the voxels of the bottleneck E_L.
s_k(a) = Σ_r softmax_k(a · c_r)_k softmax_r(a · d_r)_k, of linear heads c and d on the teacher's E_L
phase "features": L = featureWeight · ½ · mean over regions of ‖E_L^teacher - E_L^student‖², and beside it
                  L_detector = -mean over samples of Σ_k [y_k log s_k(1) + (1 - y_k) log(1 - s_k(1))]
phase "presence": L = Σ_k [BCE(x_k, y_k) + scoreWeight · BCE(b_k x_k, s_k(2))], mean over samples
                  with x = linear(mean of E_L^student over voxels), b trained from 0.2
logarithms of numbers below 0.0001 are those of 0.0001`,
  verified:
    "Verified in the authors' code (github.com/Yochengliu/MLIC-KD-WSD): both phases, the detector's two " +
    "softmaxes and its loss, the doubled logits, and b with its first value, ten times the learning rate and " +
    "no weight decay. Our choices: a segmentation network as teacher, whose encoder stays as it is, voxels " +
    "of its bottleneck as regions, a V-Net's encoder with batch norm as student, the regions of a tumour as " +
    "labels, half of the patches without a tumour, the weights, and the shares of the phases. On 320 " +
    "windows of 4 phantoms, three seeds, labels alone gave a mean AUC of 0.87 to 0.90 with batch norm and of " +
    "0.56 to 0.89 with instance norm. The teacher does not help yet: 0.49 to 0.83.",
  settings: {
    featureWeight: row(number(), {
      help: "weight of the regions' features",
      default: 1,
      teaches: true,
      page: { label: "Weight of the features" },
    }),
    scoreWeight: row(number(), {
      help: "weight of the scores that the teacher's regions give a patch",
      default: 1,
      teaches: true,
      page: { label: "Weight of the teacher's scores" },
    }),
    featurePhase: row(part(), {
      help: "share of the epochs in which the features are learned, before the regions' presence",
      default: 0.5,
      page: { label: "Share of the features' phase" },
    }),
  },
  classifies: true,
  defaults: { norm: "batch" },
  networks({ network, settings, selfTaught }): Record<string, Role> {
    if (selfTaught) throw new UsageError("--teacher self: WSD needs a teacher that segments: give its file");
    const student = { spec: classifierOf(network), group: "main" };
    return isTaught(settings) ? { student, teacher: { frozen: TEACHER } } : { student };
  },
  deployed: "student",
  streams: () => ({ paired: { healthy: 0.5 } }),
  own({ settings }, { teacher, student }): Record<string, OwnTensor> {
    if (settings.featureWeight !== 0) checkBottlenecks(student!, teacher!);
    if (settings.scoreWeight === 0) return {};
    const width = widthOf(teacher!, bottleneckOf(teacher!));
    const init = { uniform: width ** -0.5 };
    const head = (name: string) => ({
      [`${name}/weight`]: { shape: [REGIONS, width], init, group: DETECTOR },
      [`${name}/bias`]: { shape: [REGIONS], init, group: DETECTOR },
    });
    const scale = {
      shape: [REGIONS],
      init: { value: 0.2 },
      group: "main",
      rate: 10,
      undecayed: true,
    } as const;
    return { ...head("class"), ...head("detection"), scale };
  },
  phases({ settings }) {
    if (!isTaught(settings)) return [{ name: PRESENCE, share: 1 }];
    const holds = settings.scoreWeight === 0 ? [] : ["scale"];
    const holdsWeights = { student: CLASSIFIER_HEAD };
    return [
      { name: FEATURES, share: settings.featurePhase, holds, holdsWeights },
      { name: PRESENCE, share: 1 - settings.featurePhase, forgets: true },
    ];
  },
  step({ networks: { student, teacher }, own, batch: { paired }, settings, phase, update }) {
    const { featureWeight, scoreWeight } = settings;
    const taught = isTaught(settings); // also false on cases that lack a contrast of the teacher
    const guideTap = teacher && bottleneckOf(teacher.spec);
    const needed = taught && (phase === FEATURES || scoreWeight !== 0);
    const guide = needed ? teacher!.run(paired, { taps: [guideTap!] }).taps[guideTap!]! : null;
    const samples = paired.cases.length;
    const scores = (scale: number) => scoresOf(guide!, own, { samples, scale });
    if (phase === FEATURES && taught) {
      const tap = bottleneckOf(student!.spec);
      if (featureWeight !== 0)
        update("main", () => {
          const learned = student!.run(paired, { taps: [tap] }).taps[tap]!;
          return { features: [featureWeight, featureTerm(learned, guide!, samples)] };
        });
      if (scoreWeight !== 0)
        update(DETECTOR, () => ({ detection: [1, scoreLoss(scores(1), bitsOf(paired))] }));
      return;
    }
    const targets = guide && scores(SHARPENED);
    update("main", () => {
      const { logits } = student!.run(paired);
      const presence = binaryLosses(logits, bitsOf(paired)).crossEntropy;
      return {
        presence: [REGIONS, presence],
        ...(targets && {
          scores: [
            scoreWeight * REGIONS,
            binaryLosses(scaleColumns(logits, own["scale"]!), targets).crossEntropy,
          ] as const,
        }),
      };
    });
  },
  score: { name: "AUC", better: "higher" },
});

interface Weights {
  featureWeight: number;
  scoreWeight: number;
}

function isTaught({ featureWeight, scoreWeight }: Weights): boolean {
  return featureWeight !== 0 || scoreWeight !== 0;
}

/** The classifier with the sizes of a student's network. */
function classifierOf({ config: { deepSupervision: _, ...config }, ...spec }: NetworkSpec): NetworkSpec {
  return { ...spec, config, architecture: vnetClassifier };
}

/** 1 for each region that a patch shows, else 0: [N,K]. */
function bitsOf({ label }: DeviceBatch): Tensor {
  return regionsPresent(classCounts(label, 1 + largest(REGION_CLASSES.flat())), REGION_CLASSES);
}

type Features = BatchOutput["taps"][string];

/** The scores [N,K] that the detector gives the patches, by the teacher's features. */
function scoresOf(
  features: Features,
  own: Readonly<Record<string, Tensor>>,
  { samples, scale }: { samples: number; scale: number },
): Tensor {
  const rows = channelRows(whole(features));
  const logits = (name: string) => linear(rows, own[`${name}/weight`]!, own[`${name}/bias`]!);
  return regionScores(logits("class"), logits("detection"), samples, scale);
}

/** Half the mean over regions of the squared distance of their features, which may come in parts. */
function featureTerm(student: Features, teacher: Features, samples: number): Tensor {
  const parts = teacher.map((features, i): Term => {
    const [count = 0, channels = 0] = features.shape;
    const distance = meanSquaredError(cast(student[i]!, "f32"), cast(features, "f32"));
    return [((count / samples) * channels) / 2, distance];
  });
  return weightedSum(parts);
}

/** Throws a UsageError if two networks' bottlenecks have different shapes. */
function checkBottlenecks({ config: student }: NetworkSpec, { config: teacher }: NetworkSpec): void {
  if (student.filters === teacher.filters && student.levels === teacher.levels) return;
  throw new UsageError(
    `--teacher: WSD compares bottlenecks of one shape: expected ${student.filters} filters and ${student.levels} ` +
      `levels, got ${teacher.filters} and ${teacher.levels}: train a teacher of these sizes, or use --feature-weight 0`,
  );
}
