// The classes of calls that a kernel is chosen for: by sum, channels and voxels. On a GPU the fastest kernel
// for a large volume of few channels is rarely that for a small one of many.

import type { Vec3 } from "../gpu/grid.ts";
import type { Choice, VolumeCall, WeightCall } from "./row.ts";

/** The sums of convolution.ts. */
export type Sum = "gather" | "scatter" | "pair";

/** The choice of a family: one kernel for all of its calls, or one for each class. Plain JSON. */
export type Tuned = Choice | ByClass;
export type ByClass = Readonly<Record<string, Choice>>;

/** Channels (the geometric mean of both grids') and voxels (of the larger grid) of a class, at most. */
interface ShapeClass {
  name: string;
  channels: number;
  voxels: number;
  /** A typical call of the class: 2 GFLOP or more, where the class has such calls. */
  typical: { channels: number; size: Vec3 };
}

/** A call belongs to the first class that is at least as large in both. */
export const SHAPES: readonly ShapeClass[] = [
  ofShape("few channels, small", 24, 2 ** 13, { channels: 16, size: [12, 16, 16] }),
  ofShape("few channels, medium", 24, 2 ** 17, { channels: 16, size: [24, 32, 32] }),
  ofShape("few channels, large", 24, Infinity, { channels: 16, size: [48, 64, 64] }),
  ofShape("some channels, small", 96, 2 ** 13, { channels: 64, size: [12, 16, 16] }),
  ofShape("some channels, medium", 96, 2 ** 17, { channels: 64, size: [24, 32, 32] }),
  ofShape("some channels, large", 96, Infinity, { channels: 32, size: [48, 64, 64] }),
  ofShape("many channels, small", Infinity, 2 ** 13, { channels: 128, size: [6, 8, 8] }),
  ofShape("many channels, medium", Infinity, Infinity, { channels: 128, size: [12, 32, 32] }),
];

/** The name of a class: `gather, few channels, large`. */
export function className(sum: Sum, { name }: ShapeClass): string {
  return `${sum}, ${name}`;
}

/** The kernel that a family's choice holds for a call. */
export function choiceFor(tuned: Tuned, sum: Sum, call: VolumeCall | WeightCall): Choice {
  if (isChoice(tuned)) return tuned;
  const { inputs, outputs, batch, size } = call.operands;
  const channels = Math.sqrt(inputs * outputs);
  const largeSize = sum === "scatter" ? call.outSize : size;
  const voxels = largeSize.reduce((product, edge) => product * edge, batch);
  const shape = SHAPES.find((shape) => channels <= shape.channels && voxels <= shape.voxels)!;
  return tuned[className(sum, shape)]!;
}

/** True if one kernel serves all calls of a family. */
export function isChoice(tuned: Tuned): tuned is Choice {
  return typeof tuned["kernel"] === "string";
}

function ofShape(name: string, channels: number, voxels: number, typical: ShapeClass["typical"]): ShapeClass {
  return { name, channels, voxels, typical };
}
