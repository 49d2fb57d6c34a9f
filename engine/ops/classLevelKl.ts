import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, scope, Tensor } from "../autograd/tensor.ts";
import { classMeans } from "./classMeans.ts";

const kernel = await shader("classLevelKl");

/** Logits [N,C,D,H,W] and their label [N,D,H,W] of whole numbers in 0 … C-1. */
export interface Labelled {
  logits: Tensor;
  label: Tensor;
}

/**
 * The symmetric KL divergence of the class distributions of two batches, averaged over the classes. The
 * distribution of a class is the softmax of the logits' mean over the class's voxels in the batch, divided by
 * `temperature`; a class without voxels has the uniform one. The batches may hold other images and sizes.
 * Differentiated by both logits. Throws where the batches have different numbers of classes. Dou et al.,
 * "Unpaired multi-modal segmentation via knowledge distillation", TMI 2020.
 */
export function classLevelKl(a: Labelled, b: Labelled, { temperature = 2, eps = 1e-6 } = {}): Tensor {
  const classes = a.logits.shape[1]!;
  if (b.logits.shape[1] !== classes) {
    throw new Error(
      `classLevelKl: expected logits of as many classes, got [${a.logits.shape}] and [${b.logits.shape}]`,
    );
  }
  if (!(temperature > 0))
    throw new Error(`classLevelKl: expected a positive temperature, got ${temperature}`);
  const means = ({ logits, label }: Labelled) => classMeans(logits, label, classes, eps);
  return scope(() => symmetricKl(means(a), means(b), temperature));
}

/** The symmetric KL divergence of softmax(a / T) and softmax(b / T) by rows, the mean over the rows. */
function symmetricKl(a: Tensor, b: Tensor, temperature: number): Tensor {
  const [rows, channels] = a.shape as [number, number];
  const part = new Tensor(a.device, [rows]);
  const y = new Tensor(a.device, []);
  kernel.divergence({ a, b, part, channels, temperature }, rows);
  kernel.mean({ part, y }, 1);
  free(part);
  const backward = (one: Tensor, other: Tensor) => (dy: Tensor) => {
    const da = new Tensor(one.device, one.shape);
    kernel.backward({ a: one, b: other, dy, da, channels, temperature }, rows);
    return da;
  };
  return record(
    y,
    [
      [a, backward(a, b)],
      [b, backward(b, a)],
    ],
    [a, b],
  );
}
