import { extent } from "./common/labels.ts";
import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, scope, Tensor } from "../autograd/tensor.ts";
import { commonClasses } from "./classCounts.ts";
import { cosineMaps } from "./cosineMaps.ts";
import { meanSquaredError } from "./meanSquaredError.ts";
import { prototypes, prototypesOf } from "./prototypes.ts";

const kernel = await shader("prototypeDistance");
const { CHUNK } = kernel.constants; // voxels of a workgroup

const MOST = { classes: 4, channels: kernel.constants.MOST }; // that one invocation holds

/**
 * The meanSquaredError() of the cosineMaps() of two networks' features and their own prototypes(), over the
 * commonClasses(). Reads the student's features once, and once more for the gradient; with more than 4
 * classes or 16 channels it runs those ops one by one. Features [N,F,D,H,W], label [N,D,H,W], its
 * classCounts() [N,K]. Differentiated by the student's features alone.
 */
export function prototypeDistance(student: Tensor, teacher: Tensor, label: Tensor, counts: Tensor): Tensor {
  const { batch, channels, voxels } = extent("prototypeDistance", student, label);
  const chunks = Math.ceil(voxels / CHUNK);
  extent("prototypeDistance", teacher, label);
  const [samples, classes = 0] = counts.shape;
  if (samples !== batch || counts.shape.length !== 2) {
    throw new Error(`prototypeDistance: expected counts [${batch},K], got [${counts.shape}]`);
  }
  const { device } = student;
  const mapsOf = () => cosineMaps(teacher, prototypesOf(teacher, label, counts));
  if (classes > MOST.classes || channels > MOST.channels) {
    return scope(() => {
      const maps = cosineMaps(student, prototypes(student, label, classes));
      return meanSquaredError(maps, mapsOf(), commonClasses(counts));
    });
  }
  const taught = scope(mapsOf);
  const centres = prototypesOf(student, label, counts);
  const config = { channels, classes, voxels, eps: EPS, counts, prototypes: centres, maps: taught };
  const sums = new Tensor(device, [batch, channels + 2, chunks, 4]);
  const weight = new Tensor(device, [4]);
  const pulls = new Tensor(device, [batch, channels, 4]);
  const y = new Tensor(device, []);
  const work = 20 * student.size;
  kernel.partial({ ...config, features: student, sums }, { groups: [chunks, batch, 1], work });
  kernel.loss({ ...config, sums, weight, y }, { groups: [1, 1, 1], work: sums.size });
  kernel.combine({ ...config, sums, weight, pulls }, { groups: [channels, batch, 1], work: sums.size });
  free(sums);
  const backward = (dy: Tensor) => {
    const dfeatures = new Tensor(device, student.shape, student.precision);
    const args = { ...config, features: student, label, weight, pulls, dy, dfeatures };
    kernel.backward(args, { groups: [chunks, batch, 1], work });
    return dfeatures;
  };
  record(y, [[student, backward]], [student, label, centres, taught, weight, pulls]);
  [centres, taught, weight, pulls].forEach(free);
  return y;
}

const EPS = 1e-5; // for the prototypes and the cosines, as in the published code
