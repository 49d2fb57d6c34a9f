import {
  angleLoss,
  cast,
  conv3d,
  fill,
  globalAveragePool,
  meanSquaredError,
  mixtureDivergence,
  normaliseChannels,
  prototypes,
  softmax,
  teacherMixture,
  teacherWeights,
  type Tensor,
  type Term,
  weightedSum,
} from "../../engine/index.ts";
import type { Terms } from "../losses/losses.ts";
import { type BatchOutput, whole } from "../networks/parts.ts";
import { UsageError } from "../settings/errors.ts";
import { choice, number, optional, text } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";
import { method, type NetworkSpec, type OwnTensor, type Role, type Run, TEACHER } from "./method.ts";
import { deeplySupervised, scaled, segmentation } from "./segmentation.ts";
import { softWeight, temperature } from "./settings.ts";
import { bottleneckOf, levelOf, widthOf } from "./taps.ts";

const ADAPTING = "adapting"; // the phases
const RETRAINING = "retraining";
const STUDENT = "student";

/** Names of contrasts with + between those of one teacher, and teachers with commas between. */
const TEACHERS = /^[a-z0-9]+(\+[a-z0-9]+)*(,[a-z0-9]+(\+[a-z0-9]+)*)*$/;

/**
 * AMTML-KD: several teachers, mixed for each sample by weights that are learned with the student.
 * Its formula and what is verified are in its fields below.
 */
export const amtml = method({
  name: "amtml",
  title: "AMTML-KD",
  source: "Liu et al., Neurocomputing 415, 2020 (arXiv 2103.04062)",
  formula: `L = (1 - softWeight) · L_seg + 2 softWeight · T² · mean over elements of q (log q - log softmax(z_s / T))
    + angleWeight · L_angle + hintWeight · L_hint + regularisation · (‖W‖² + ‖θ‖²), the last in phase 1 alone
q_n     = Σ_m w_nm softmax(z_m / T), of the teachers m;  w_n = softmax over m of Σ_d W_d β_nd θ_md
          with β the mean of the student's bottleneck over voxels
L_angle = the mean over triples of rows of smooth L1 between the cosines of their angles; rows: each sample's
          class means of softmax(z_s / T), and of q (a constant here)
L_hint  = the mean over the taps E_L, D_{L-1}, …, D_1 of the mean of (A · s - t)², with s and t the student's
          and a teacher's features, each voxel divided by its length; the teachers take turns, A is 1³
phase 1, 35 % of the epochs: student, θ, W and A train; phase 2: the student again, from its first weights`,
  verified:
    "Verified in the authors' code (github.com/FLHonker/AMTML-KD-code): the weights w, that the gradient " +
    "reaches θ, W and the student's features through q, the factor 2 T², T, softWeight, the regulariser, how " +
    "θ, W and A are drawn, and the two phases. Our choices: teachers of single contrasts, whole patches for " +
    "images, L_seg for cross-entropy, class means as rows where the authors take a batch's 128 images, the " +
    "taps and their teachers, the shares of the phases, and that A is trained (the authors' is not in any optimizer).",
  settings: {
    /** Null for the contrasts of the data, each alone. */
    teachers: row(
      optional(
        text("list", {
          expected: "contrasts like t1,t2 or flair+t1ce, and teacher for that of all contrasts",
          isValid: (names) => TEACHERS.test(names),
        }),
      ),
      {
        help: "the students of the same run, trained with none, that teach: like t1,flair+t1ce; teacher: the teacher, too",
        default: null,
        defaultHelp: "each contrast of the data",
      },
    ),
    mixing: row(choice(["adaptive", "average"], "how"), {
      help: "how the teachers are mixed: by weights that are learned for each sample, or all alike",
      default: "adaptive",
    }),
    softWeight,
    temperature,
    angleWeight: row(number(), {
      help: "weight of the angles between the class means of the student's and the teachers' predictions",
      default: 1,
      teaches: true,
    }),
    hintWeight: row(number(), {
      help: "weight of the teachers' features",
      default: 1,
      teaches: true,
    }),
    regularisation: row(number(), {
      help: "weight of the squares of the tensors that mix the teachers",
      default: 0.1,
    }),
  },
  defaults: { softWeight: 0.7, temperature: 5 },
  networks(run): Record<string, Role> {
    if (run.selfTaught) throw new UsageError("--teacher self: AMTML-KD needs teachers that do not change");
    const teachers = teachersOf(run).map((name): [string, Role] => [name, { frozen: stageOf(name) }]);
    return { [STUDENT]: { spec: run.network, group: "main" }, ...Object.fromEntries(teachers) };
  },
  deployed: "student",
  phases(run) {
    const { levels } = run.network.config;
    const holds = [...mixers(run.settings), ...hintTaps(levels, run.settings).map(adapterOf)];
    if (!holds.length) return [{ name: "training", share: 1 }];
    return [
      { name: ADAPTING, share: 0.35 },
      { name: RETRAINING, share: 0.65, restart: ["student"], holds },
    ];
  },
  own({ settings }, { [STUDENT]: student, ...teachers }) {
    const width = widthOf(student!, bottleneckOf(student!));
    const group = "main";
    const drawn = { init: { normal: 1 }, group } as const;
    const shapes: Record<string, number[]> = { theta: [Object.keys(teachers).length, width], W: [width] };
    const mixing = mixers(settings).map((name) => [name, { shape: shapes[name]!, ...drawn }] as const);
    const adapters = hints(student!, Object.keys(teachers), settings).map(({ tap, teacher }) => {
      checkTap(tap, teacher, teachers[teacher]!);
      const shape = [widthOf(teachers[teacher]!, tap), widthOf(student!, tap), 1, 1, 1];
      return [adapterOf(tap), { shape, init: { uniform: 0.005 }, group }] as const;
    });
    return Object.fromEntries<OwnTensor>([...mixing, ...adapters]);
  },
  step({ networks, own, batch: { paired }, settings, phase, update, observe }) {
    const { [STUDENT]: student, ...teachers } = networks;
    const names = Object.keys(teachers);
    const compared = hints(student!.spec, names, settings);
    const isMixed = mixes(settings);
    const guides = names.map((name): BatchOutput | null => {
      const taps = compared.filter(({ teacher }) => teacher === name).map(({ tap }) => tap);
      return isMixed || taps.length ? teachers[name]!.run(paired, { taps }) : null;
    });
    const bottleneck = bottleneckOf(student!.spec);
    const wanted = new Set(compared.map(({ tap }) => tap));
    if (isMixed && own["theta"]) wanted.add(bottleneck);
    update("main", () => {
      const output = student!.run(paired, { taps: [...wanted] });
      const weigh = (): Tensor => {
        const [theta, blend] = [own["theta"], own["W"]];
        if (!theta || !blend)
          return fill(output.logits.device, [paired.cases.length, names.length], 1 / names.length);
        const pooled = whole(output.taps[bottleneck]!.map(globalAveragePool));
        const weights = teacherWeights(pooled, theta, blend);
        observe(
          names.map((name) => `teacherWeight/${name}`),
          weights,
        );
        return weights;
      };
      const logits = guides.flatMap((guide) => guide?.logits ?? []);
      const terms: Terms = {
        ...(settings.softWeight < 1 && scaled(segmentation(output, paired), 1 - settings.softWeight)),
        ...(isMixed &&
          mixtureTerms(output.logits, { logits, label: paired.label, weights: weigh() }, settings)),
        ...(compared.length > 0 && {
          hint: [settings.hintWeight, hintTerm(output, { compared, guides, names, own })] as const,
        }),
        ...(isMixed && phase !== RETRAINING && regulariser(own, settings)),
      };
      return deeplySupervised(terms, output, paired);
    });
  },
});

interface Settings {
  teachers: string | null;
  mixing: "adaptive" | "average";
  softWeight: number;
  temperature: number;
  angleWeight: number;
  hintWeight: number;
  regularisation: number;
}

/** Tells whether a term needs the mixture of the teachers' predictions. */
function mixes({ softWeight, angleWeight }: Settings): boolean {
  return softWeight !== 0 || angleWeight !== 0;
}

/** The tensors that mix the teachers, by name; none where nothing would train them: then all count alike. */
function mixers({ mixing, softWeight }: Settings): string[] {
  return mixing === "adaptive" && softWeight !== 0 ? ["theta", "W"] : [];
}

/** The teachers' names; none where all weights are 0. */
function teachersOf({ settings, modalities }: Run<Settings>): readonly string[] {
  if (!mixes(settings) && settings.hintWeight === 0) return [];
  return settings.teachers?.split(",") ?? modalities;
}

/** The stage that trains a teacher. */
function stageOf(name: string): string {
  return name === TEACHER ? TEACHER : `student_${name}`;
}

/** The taps whose features are compared: the bottleneck, and the decoder's outputs up to full resolution. */
function hintTaps(levels: number, { hintWeight }: Settings): string[] {
  if (hintWeight === 0) return [];
  return [`E_${levels}`, ...Array.from({ length: levels - 1 }, (_, i) => `D_${levels - 1 - i}`)];
}

/** A tap, and the teacher whose features it is compared with. */
interface Hint {
  tap: string;
  teacher: string;
}

/** The hints of a step: teachers in turn. */
function hints({ config }: NetworkSpec, teachers: readonly string[], settings: Settings): Hint[] {
  return hintTaps(config.levels, settings).map((tap, i) => ({
    tap,
    teacher: teachers[i % teachers.length]!,
  }));
}

function adapterOf(tap: string): string {
  return `adapter/${tap}`;
}

/** The divergence from the mixture q of the teachers' predictions, and the angles between class means. */
function mixtureTerms(
  student: Tensor,
  { logits, label, weights }: { logits: readonly Tensor[]; label: Tensor; weights: Tensor },
  { softWeight, temperature, angleWeight }: Settings,
): Terms {
  const q = teacherMixture(logits, weights, temperature);
  const means = (p: Tensor) => prototypes(p, label, p.shape[1]!);
  return {
    ...(softWeight !== 0 && {
      mixture: [2 * softWeight * temperature ** 2, mixtureDivergence(student, q, temperature)] as const,
    }),
    ...(angleWeight !== 0 && {
      angle: [angleWeight, angleLoss(means(softmax(student, temperature)), means(q))] as const,
    }),
  };
}

interface Hinted {
  compared: readonly Hint[];
  guides: readonly (BatchOutput | null)[];
  names: readonly string[];
  own: Readonly<Record<string, Tensor>>;
}

/** L_hint. Features may come in parts of a few samples. */
function hintTerm(student: BatchOutput, { compared, guides, names, own }: Hinted): Tensor {
  const batch = student.logits.shape[0]!;
  const parts = compared.flatMap(({ tap, teacher }) => {
    const given = guides[names.indexOf(teacher)]!.taps[tap]!;
    return given.map((features, i): Term => {
      const adapted = conv3d(normaliseChannels(student.taps[tap]![i]!), own[adapterOf(tap)]!);
      const wanted = normaliseChannels(features);
      const share = features.shape[0]! / batch / compared.length;
      return [share, meanSquaredError(cast(adapted, "f32"), cast(wanted, "f32"))];
    });
  });
  return weightedSum(parts);
}

/** ‖W‖² + ‖θ‖². */
function regulariser(own: Readonly<Record<string, Tensor>>, settings: Settings): Terms {
  const tensors = settings.regularisation === 0 ? [] : mixers(settings).map((name) => own[name]!);
  if (!tensors.length) return {};
  const squares = tensors.map((x): Term => [x.size, meanSquaredError(x, fill(x.device, x.shape, 0))]);
  return { regulariser: [settings.regularisation, weightedSum(squares)] };
}

/** Throws a UsageError where a teacher has no features of the size of the student's tap. */
function checkTap(tap: string, teacher: string, { config: { levels } }: NetworkSpec): void {
  const most = tap.startsWith("E") ? levels : levels - 1;
  if (levelOf(tap) <= most) return;
  throw new UsageError(
    `--teachers: AMTML-KD compares the student's ${tap} with features of the same size, which the teacher ` +
      `${teacher} of ${levels} levels lacks: train it with more --levels, or use --hint-weight 0`,
  );
}
