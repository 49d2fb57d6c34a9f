// The grid that a kernel runs on, and the types that the generated shaders/types.ts uses.

/** Three extents, in the order [D,H,W]. */
export type Vec3 = readonly [number, number, number];

/** Workgroups along each dimension of a dispatch. */
export type GroupCounts = readonly [x: number, y: number, z: number];

/**
 * The extent of a call: a number of elements, each with an invocation; a number of invocations, and of
 * operations that all of them do together; or workgroups.
 */
export type Grid = number | { invocations: number; work: number } | { groups: GroupCounts; work?: number };

/** An entry point of a shader. */
export type Kernel<Args> = (args: Args, grid: Grid) => void;

/** At least so many workgroups as a 2-D grid, at most `widest` along a dimension. Kernels skip the excess. */
export function spread(groups: number, widest: number): GroupCounts {
  const y = Math.ceil(Math.max(1, groups) / widest);
  return [Math.ceil(Math.max(1, groups) / y), y, 1];
}
