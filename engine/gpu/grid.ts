// What a kernel is called with besides its arguments, and the types that generated shaders/types.ts is made of.

/** Three extents, in the order [D,H,W]. */
export type Vec3 = readonly [number, number, number];

/** Workgroups along each dimension of a dispatch. */
export type GroupCounts = readonly [x: number, y: number, z: number];

/**
 * How much a kernel does: one invocation for each of so many elements; invocations, and the operations that all of
 * them do together; or workgroups.
 */
export type Grid = number | { invocations: number; work: number } | { groups: GroupCounts; work?: number };

/** An entry point of a shader. */
export type Kernel<Args> = (args: Args, grid: Grid) => void;

/** So many workgroups as a 2-D grid, or a few more: one dimension holds `widest`. Kernels skip what is too many. */
export function spread(groups: number, widest: number): GroupCounts {
  const y = Math.ceil(Math.max(1, groups) / widest);
  return [Math.ceil(Math.max(1, groups) / y), y, 1];
}
