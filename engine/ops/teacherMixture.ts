import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("teacherMixture");
const { CHUNK } = kernel.constants; // voxels of a workgroup

/**
 * Σ_m weights_nm · softmax(z_m / temperature) over the classes of M teachers' logits [N,C,D,H,W]: a
 * probability of each class where the rows of `weights` [N,M] sum to 1. Differentiated by the weights alone.
 * Throws where shapes differ, or the temperature is not positive.
 */
export function teacherMixture(logits: readonly Tensor[], weights: Tensor, temperature: number): Tensor {
  const [first] = logits;
  if (!first || logits.some(({ shape }) => `${shape}` !== `${first.shape}`)) {
    const got = logits.map(({ shape }) => `[${shape}]`).join(", ") || "nothing";
    throw new Error(`teacherMixture: expected logits of one shape, got ${got}`);
  }
  const { batch, channels: classes, voxels } = extent("teacherMixture", first);
  const teachers = logits.length;
  if (`${weights.shape}` !== `${[batch, teachers]}`)
    throw new Error(`teacherMixture: expected weights [${batch},${teachers}], got [${weights.shape}]`);
  if (!(temperature > 0))
    throw new Error(`teacherMixture: expected a positive temperature, got ${temperature}`);
  const chunks = Math.ceil(voxels / CHUNK);
  const { device } = first;
  const config = { classes, voxels, chunks, teachers, temperature };
  const grid = { groups: [chunks, batch, 1], work: 30 * first.size } as const;
  const q = new Tensor(device, first.shape);
  for (const [teacher, z] of logits.entries()) kernel.add({ ...config, teacher, z, w: weights, q }, grid);
  const backward = (dq: Tensor) => {
    const sums = new Tensor(device, [batch, chunks]);
    const dw = new Tensor(device, weights.shape);
    for (const [teacher, z] of logits.entries()) {
      kernel.partial({ ...config, teacher, z, dq, sums }, grid);
      kernel.combine({ ...config, teacher, sums, dw }, { groups: [batch, 1, 1], work: sums.size });
    }
    free(sums);
    return dw;
  };
  return record(q, [[weights, backward]], [...logits]);
}
