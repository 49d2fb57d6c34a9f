import { spread } from "../gpu/grid.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("regionScores");

/**
 * How far an image shows each of K findings, by its R regions: s_k = Σ_r softmax_K(scale · classes)_rk ·
 * softmax_R(scale · detections)_rk, from 0 to 1. Both logits [N·R,K] or [N,R,K], of N `samples` → [N,K];
 * differentiated by both. Liu et al., "Multi-label image classification via knowledge
 * distillation from weakly-supervised detection", ACM MM 2018. Throws for other shapes.
 */
export function regionScores(classes: Tensor, detections: Tensor, samples: number, scale = 1): Tensor {
  const findings = classes.shape.at(-1) ?? 0;
  if (classes.shape.length < 2 || classes.size === 0 || `${classes.shape}` !== `${detections.shape}`)
    throw new Error(
      `regionScores: expected two tensors [N·R,K], got [${classes.shape}] and [${detections.shape}]`,
    );
  const rows = classes.size / findings;
  if (!Number.isInteger(samples) || samples < 1 || rows % samples !== 0)
    throw new Error(`regionScores: expected ${rows} rows to be those of whole samples, got ${samples}`);
  const { device } = classes;
  const config = { c: classes, d: detections, regions: rows / samples, findings, scale, least: 0 };
  const s = new Tensor(device, [samples, findings]);
  const norms = new Tensor(device, [samples, findings, 2]);
  const work = 12 * findings * classes.size;
  kernel.forward({ ...config, s, norms }, { groups: spread(s.size, device.widest), work });
  const reduce = (ds: Tensor) => {
    const dc = new Tensor(device, classes.shape);
    const dd = new Tensor(device, detections.shape);
    kernel.backward({ ...config, scores: s, norms, ds, dc, dd }, { invocations: rows, work: 3 * work });
    return { dc, dd };
  };
  type Gradients = ReturnType<typeof reduce>;
  return record(
    s,
    [
      [classes, (_: Tensor, { dc }: Gradients) => dc],
      [detections, (_: Tensor, { dd }: Gradients) => dd],
    ],
    [classes, detections, s, norms],
    reduce,
  );
}

/**
 * The cross-entropy of scores in 0 … 1 with constant bits, both [N,K]: the mean over samples of -Σ_k
 * [y log max(s, least) + (1 - y) log max(1 - s, least)]. Differentiated by the scores. Throws where the
 * shapes differ.
 */
export function scoreLoss(scores: Tensor, bits: Tensor, least = 1e-4): Tensor {
  if (scores.shape.length !== 2 || scores.size === 0 || `${scores.shape}` !== `${bits.shape}`)
    throw new Error(`scoreLoss: expected two tensors [N,K], got [${scores.shape}] and [${bits.shape}]`);
  if (!(least > 0)) throw new Error(`scoreLoss: expected a positive least value, got ${least}`);
  const { device } = scores;
  const config = { scores, bits, regions: 0, findings: scores.shape[1]!, scale: 1, least };
  const loss = new Tensor(device, []);
  kernel.lossOf({ ...config, loss }, { groups: [1, 1, 1], work: 20 * scores.size });
  const backward = (dloss: Tensor) => {
    const dscores = new Tensor(device, scores.shape);
    kernel.slopes({ ...config, dloss, dscores }, dscores.size);
    return dscores;
  };
  return record(loss, [[scores, backward]], [scores, bits]);
}
