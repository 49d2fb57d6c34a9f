// Converts layouts: PyTorch's and ours are [N,C,D,H,W] and [O,C,K,K,K]; TensorFlow's have the channels last.

import type { Values } from "../../model/networks/params.ts";
import { sizeOf } from "../values.ts";

/** Permutes axes: axis i of the result is axis `axes[i]` of the values. */
export function permute({ shape, data }: Values, axes: readonly number[]): Values {
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  const to = axes.map((axis) => shape[axis]!);
  const steps = axes.map((axis) => strides[axis]!);
  const result = new Float32Array(data.length);
  const index = to.map(() => 0);
  let from = 0;
  for (let i = 0; i < data.length; i++) {
    result[i] = data[from]!;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      from += steps[axis]!;
      if (++index[axis]! < to[axis]!) break;
      from -= steps[axis]! * to[axis]!;
      index[axis] = 0;
    }
  }
  return { shape: to, data: result };
}

/** [N,C,D,H,W] as [N,D,H,W,C]. */
export const channelsLast = (values: Values): Values => permute(values, [0, 2, 3, 4, 1]);
/** [N,D,H,W,C] as [N,C,D,H,W]. */
export const channelsFirst = (values: Values): Values => permute(values, [0, 4, 1, 2, 3]);
/** [O,I,K,K,K] as [K,K,K,I,O]; a transposed convolution's [I,O,K,K,K] as [K,K,K,O,I]. */
export const filterLast = (values: Values): Values => permute(values, [2, 3, 4, 1, 0]);
/** [K,K,K,I,O] as [O,I,K,K,K]. */
export const filterFirst = (values: Values): Values => permute(values, [4, 3, 0, 1, 2]);

/** A label [N,D,H,W] as one map for each class, [N,classes,D,H,W]. */
export function oneHot({ shape, data }: Values, classes: number): Values {
  const [batch = 1, ...size] = shape;
  const voxels = sizeOf(size);
  const maps = new Float32Array(classes * data.length);
  data.forEach((k, i) => (maps[(Math.floor(i / voxels) * classes + k) * voxels + (i % voxels)] = 1));
  return { shape: [batch, classes, ...size], data: maps };
}
