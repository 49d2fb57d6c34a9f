import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, scope, Tensor } from "../autograd/tensor.ts";
import { classMeans } from "./classMeans.ts";

const kernel = await shader("classLevelKl");

/** Logits [N,C,D,H,W] and the label [N,D,H,W], of whole numbers in 0 … C-1, that says where each class is. */
export interface Labelled {
  logits: Tensor;
  label: Tensor;
}

/**
 * How differently two sets of images are classified, class by class: the logits' mean over each class's voxels in the
 * batch, divided by `temperature`, is a distribution; the symmetric KL divergence of a's and b's, averaged over the
 * classes, is returned. A class without voxels has the uniform one. The batches need not be of the same images or
 * size. Differentiated by both logits. Dou et al., "Unpaired multi-modal segmentation via knowledge
 * distillation", TMI 2020.
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

/** Of softmax(a / T) and softmax(b / T) over the rows of two matrices, the mean over rows. */
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
