import { shader } from "../gpu/shader.ts";
import { record } from "../autograd/tape.ts";
import { free, Tensor } from "../autograd/tensor.ts";

const kernel = await shader("featureDivergence");
const { CHUNK } = kernel.constants; // elements of a workgroup

/**
 * The mean over samples of KL(softmax(teacher) ‖ softmax(student)), each softmax over all elements of a
 * sample. student and teacher [N,...], differentiated by the student alone. Throws where the shapes differ.
 * Hu et al., "Knowledge distillation from multi-modal to mono-modal segmentation networks", MICCAI 2020.
 */
export function featureDivergence(student: Tensor, teacher: Tensor): Tensor {
  const [batch = 0] = student.shape;
  if (batch === 0 || `${student.shape}` !== `${teacher.shape}`) {
    throw new Error(
      `featureDivergence: expected one shape [N,...], got [${student.shape}] and [${teacher.shape}]`,
    );
  }
  const { device, size } = student;
  const elements = size / batch;
  const chunks = Math.ceil(elements / CHUNK);
  const config = { student, teacher, elements };
  const pieces = new Tensor(device, [batch, chunks, 4]);
  const softmaxes = new Tensor(device, [batch, 4]);
  const sums = new Tensor(device, [batch, chunks]);
  const y = new Tensor(device, []);
  const grid = { groups: [chunks, batch, 1], work: 20 * size } as const;
  kernel.parts({ ...config, pieces }, grid);
  kernel.softmax({ pieces, softmaxes }, { groups: [batch, 1, 1], work: pieces.size });
  kernel.partial({ ...config, softmaxes, sums }, grid);
  kernel.combine({ softmaxes, sums, y }, { groups: [1, 1, 1], work: sums.size });
  [pieces, sums].forEach(free);
  const backward = (dy: Tensor) => {
    const dstudent = new Tensor(device, student.shape, student.precision);
    kernel.backward({ ...config, softmaxes, dy, dstudent }, { invocations: size, work: 20 * size });
    return dstudent;
  };
  record(y, [[student, backward]], [student, teacher, softmaxes]);
  free(softmaxes);
  return y;
}
