import { barlowTwins, channelRows, type Tensor } from "../../engine/index.ts";
import type { Terms } from "../losses/losses.ts";
import { type BatchOutput, whole } from "../networks/parts.ts";
import { UsageError } from "../settings/errors.ts";
import { choice, number, onOff } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";
import { type DeviceBatch, method, type Role, type Run } from "./method.ts";
import { deeplySupervised, segmentation as labelTerms } from "./segmentation.ts";
import { segmentation } from "./settings.ts";
import { bottleneckOf } from "./taps.ts";

/**
 * Single-stage distillation with Barlow Twins: a teacher of all contrasts and a student train together from
 * the first step, and the student's bottleneck is drawn to the teacher's.
 * Its formula and what is verified are in its fields below.
 */
export const barlow = method({
  name: "barlow",
  title: "single-stage Barlow Twins",
  source: "Choi et al., Computer Methods and Programs in Biomedicine 2023",
  formula: `L_teacher = L_seg        L_student = L_seg + barlowWeight · L_BT / D
L_BT = Σ_i (1 - C_ii)² + 0.0051 Σ_{i≠j} C_ij², with C the correlation of the D channels of both
       bottlenecks, each standardised, over the voxels of all samples
L_seg  with --segmentation ce is the abstract's: cross-entropy alone, at each level of the deep supervision`,
  verified:
    "Verified in the abstract: both networks train in one stage, a Barlow Twins loss compares their " +
    "latent vectors, both have deep supervision by cross-entropy, and the student sees FLAIR and T1ce. " +
    "The authors published no code. Our choices: the levels of the deep supervision and their weights, " +
    "which are nnU-Net's, the bottleneck's voxels as rows, the weight, L_seg with Dice, the teacher as a " +
    "constant of the student's loss, both as they are before the step, and no projector; 0.0051 is that " +
    "of Zbontar et al., ICML 2021.",
  settings: {
    barlowWeight: row(number(), {
      help: "weight of the Barlow Twins loss of both bottlenecks",
      default: 1,
      page: { label: "Weight of Barlow Twins" },
      teaches: true,
    }),
    barlowTeacher: row(choice(["joint", "frozen"], "how"), {
      help: "train the teacher together with the student, or take one that was trained before",
      default: "joint",
      page: { label: "Barlow Twins' teacher" },
    }),
    barlowBoth: row(onOff(), {
      help: "draw the teacher's bottleneck to the student's, too, where they train together",
      default: false,
      page: { label: "Draw the teacher, too" },
    }),
    segmentation,
  },
  defaults: { modality: "t1ce+flair", deepSupervision: true },
  networks: (run) => ({
    student: { spec: run.network, group: "main" },
    teacher: run.settings.barlowTeacher === "frozen" ? { frozen: "teacher" } : besides(run),
  }),
  deployed: "student",
  step({ networks: { student, teacher }, batch: { paired }, settings, update }) {
    const { barlowWeight, barlowTeacher, barlowBoth, segmentation: labels } = settings;
    const joint = barlowTeacher === "joint";
    const bottleneck = bottleneckOf(student.spec);
    const taps = barlowWeight === 0 ? [] : [bottleneck];
    const rows = (output: BatchOutput) => channelRows(whole(output.taps[bottleneck]!));
    const guide = barlowWeight === 0 ? null : rows(teacher.run(paired, { taps }));
    const mutual = joint && barlowBoth && guide !== null;
    const other = mutual ? rows(student.run(paired, { taps })) : null;
    const loss = (output: BatchOutput, constant: Tensor | null): Terms => ({
      ...labelTerms(output, paired, labels),
      ...(constant && { barlow: [barlowWeight / constant.shape[1]!, twins(rows(output), constant)] }),
    });
    const train = (group: string, network: typeof student, constant: Tensor | null, batch: DeviceBatch) =>
      update(group, () => {
        const output = network.run(batch, { taps: constant ? taps : [] });
        return deeplySupervised(loss(output, constant), output, batch, labels);
      });
    train("main", student, guide, paired);
    if (joint) train("teacher", teacher, other, paired);
  },
});

/** A teacher that trains beside the student, with its sizes and every contrast of the cases. */
function besides({ network: { any: _, ...spec }, modalities }: Run<unknown>): Role {
  const config = { ...spec.config, modalities: modalities.length };
  return { spec: { ...spec, config, modalities }, group: "teacher" };
}

/** Throws a UsageError for matrices of two widths, or of too few rows for a correlation of full rank. */
function twins(own: Tensor, constant: Tensor): Tensor {
  const [rows, width] = own.shape as [number, number];
  if (`${own.shape}` !== `${constant.shape}`)
    throw new UsageError(
      `--teacher: Barlow Twins compares bottlenecks of one shape: expected ${rows} voxels of ${width} channels, ` +
        `got ${constant.shape[0]} of ${constant.shape[1]}: train a teacher with the same --filters and --levels`,
    );
  if (rows <= width)
    throw new UsageError(
      `--patch: Barlow Twins needs more voxels in the bottlenecks of a batch than channels: expected more than ` +
        `${width}, got ${rows}: use a larger --patch or --batch, or fewer --filters or --levels`,
    );
  return barlowTwins(own, constant);
}
