import type { GroupCounts } from "./grid.ts";

/** A device calls these while it works, for tests and benches; each is optional. */
export interface Listener {
  /** A buffer is handed out, new or used before. */
  buffer?(buffer: GPUBuffer): void;
  /** Room is made for a dispatch of so many operations. */
  work?(operations: number): void;
  /** A dispatch is recorded. */
  dispatch?(label: string, pipeline: GPUComputePipeline, groups: GroupCounts): void;
  /** A phase begins, or with an empty name the last one ends. */
  phase?(name: string): void;
}
