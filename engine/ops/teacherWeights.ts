import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

const kernel = await shader("teacherWeights");

/**
 * The weight of each of M teachers for each sample: softmax_m Σ_d blend_d · features_nd · factors_md.
 * features [N,D], factors [M,D], blend [D] → [N,M], whose rows sum to 1; differentiated by all three. Throws
 * where the widths differ. Liu et al., "Adaptive multi-teacher multi-level knowledge distillation",
 * Neurocomputing 415, 2020.
 */
export function teacherWeights(features: Tensor, factors: Tensor, blend: Tensor): Tensor {
  const [samples = 0, width = 0] = features.shape;
  const [teachers = 0] = factors.shape;
  if (
    features.shape.length !== 2 ||
    `${factors.shape}` !== `${[teachers, width]}` ||
    `${blend.shape}` !== `${width}`
  )
    throw new Error(
      "teacherWeights: expected features [N,D], factors [M,D] and blend [D], " +
        `got [${features.shape}], [${factors.shape}] and [${blend.shape}]`,
    );
  const { device } = features;
  const given = { features, factors, blend, samples, teachers, width };
  const w = new Tensor(device, [samples, teachers]);
  kernel.forward({ ...given, w }, samples);
  const reduce = (dw: Tensor) => {
    const ds = new Tensor(device, w.shape);
    kernel.backwardScores({ ...given, w, dw, ds }, samples);
    const dfeatures = new Tensor(device, features.shape);
    const dfactors = new Tensor(device, factors.shape);
    const dblend = new Tensor(device, blend.shape);
    kernel.backwardFeatures({ ...given, ds, dfeatures }, dfeatures.size);
    kernel.backwardFactors({ ...given, ds, dfactors }, dfactors.size);
    kernel.backwardBlend({ ...given, ds, dblend }, dblend.size);
    return { ds, dfeatures, dfactors, dblend };
  };
  type Gradients = ReturnType<typeof reduce>;
  return record(
    w,
    [
      [features, (_: Tensor, all: Gradients) => all.dfeatures],
      [factors, (_: Tensor, all: Gradients) => all.dfactors],
      [blend, (_: Tensor, all: Gradients) => all.dblend],
    ],
    [features, factors, blend, w],
    reduce,
  );
}
