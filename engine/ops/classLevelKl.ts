import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, scope, Tensor } from "../autograd/tensor.ts";
import { classCounts } from "./classCounts.ts";
import { classMeans } from "./classMeans.ts";

const kernel = await shader("classLevelKl");

/** Logits [N,C,D,H,W] and their label [N,D,H,W] of whole numbers in 0 … C-1. */
export interface Labelled {
  logits: Tensor;
  label: Tensor;
}

/**
 * How a class counts that a batch lacks: not at all, so that the mean is over the classes of both batches and
 * 0 where they have none in common; or with the uniform distribution, as in the source.
 */
export const ABSENT_CLASSES = ["skip", "uniform"] as const;

/** Options of classLevelKl(). */
export interface ClassLevelOptions {
  temperature?: number;
  absent?: (typeof ABSENT_CLASSES)[number];
  /** Added to the numbers of voxels. */
  eps?: number;
}

/**
 * The symmetric KL divergence of the class distributions of two batches, averaged over the classes. The
 * distribution of a class is the softmax of the logits' mean over the class's voxels in the batch, divided by
 * `temperature`. The batches may hold other images and sizes. Differentiated by both logits. Throws where the
 * batches have different numbers of classes. Dou et al., "Unpaired multi-modal segmentation via knowledge
 * distillation", TMI 2020.
 */
export function classLevelKl(
  a: Labelled,
  b: Labelled,
  { temperature = 2, absent = "skip", eps = 1e-6 }: ClassLevelOptions = {},
): Tensor {
  const classes = a.logits.shape[1]!;
  if (b.logits.shape[1] !== classes) {
    throw new Error(
      `classLevelKl: expected logits of as many classes, got [${a.logits.shape}] and [${b.logits.shape}]`,
    );
  }
  if (!(temperature > 0))
    throw new Error(`classLevelKl: expected a positive temperature, got ${temperature}`);
  const means = ({ logits, label }: Labelled) => classMeans(logits, label, classes, eps);
  return scope(() => {
    const share = new Tensor(a.logits.device, [classes]);
    const [countsA, countsB] = [classCounts(a.label, classes), classCounts(b.label, classes)];
    const skip = Number(absent === "skip");
    kernel.shares({ countsA, countsB, share, channels: classes, temperature, skip }, 1);
    return symmetricKl(means(a), means(b), share, temperature);
  });
}

/** The symmetric KL divergence of softmax(a / T) and softmax(b / T) by rows, summed with the rows' shares. */
function symmetricKl(a: Tensor, b: Tensor, share: Tensor, temperature: number): Tensor {
  const [rows, channels] = a.shape as [number, number];
  const config = { channels, temperature, skip: 0 };
  const part = new Tensor(a.device, [rows]);
  const y = new Tensor(a.device, []);
  kernel.divergence({ ...config, a, b, part }, rows);
  kernel.mean({ ...config, part, share, y }, 1);
  free(part);
  const backward = (one: Tensor, other: Tensor) => (dy: Tensor) => {
    const da = new Tensor(one.device, one.shape);
    kernel.backward({ ...config, a: one, b: other, dy, share, da }, rows);
    return da;
  };
  return record(
    y,
    [
      [a, backward(a, b)],
      [b, backward(b, a)],
    ],
    [a, b, share],
  );
}
