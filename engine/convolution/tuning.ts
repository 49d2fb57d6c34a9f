// Which kernels do the convolutions on an adapter, and how wide their workgroups are. Choices differ in how they round;
// the same one gives the same bits. By default the rules of thumb below hold; tune.ts measures.

import type { Device } from "../gpu/device.ts";
import type { Lanes } from "../gpu/lanes.ts";

/** Plain JSON, to be kept in a file. */
export interface Tuning {
  /** Of 3³ at stride 1: its forward pass and its data gradient, which are one kernel. */
  forward: Forward;
  /** Of 3³ at stride 1. */
  weightGradient: { kernel: "eight" } | { kernel: "plain"; WG: number };
  /** Of 2³ at stride 2, all sums. */
  halving: { kernel: "halving" | "plain" };
}

type Forward =
  | { kernel: "eight" } // conv3dEight.wgsl
  | { kernel: "subgroups"; WG: number } // conv3dSubgroups.wgsl
  | { kernel: "plain"; WG: number; TW: number }; // conv3d.wgsl

export type Candidates = { readonly [Family in keyof Tuning]: readonly Tuning[Family][] };

/** Of the kernels that are chosen from: a choice made for others is no longer one. Counted up when they change. */
export const KERNELS = 1;

/** What every adapter can run. */
export const PLAIN = {
  forward: { kernel: "plain", WG: 64, TW: 8 },
  weightGradient: { kernel: "plain", WG: 64 },
  halving: { kernel: "plain" },
} as const satisfies Tuning;

/** What can be chosen where subgroups are of so many lanes, the default first. */
export function candidates(lanes: Lanes): Candidates {
  const eight = lanes.min === 8 && lanes.max === 8; // wider subgroups would idle
  const widths = lanes.min < 8 ? [] : [...new Set([Math.min(lanes.max, 64), 32, 64, 128])];
  const plain = [64, 32, 128, 256];
  return {
    forward: [
      ...(eight ? [{ kernel: "eight" } as const] : []),
      ...widths.map((WG) => ({ kernel: "subgroups", WG }) as const),
      ...plain.flatMap((WG) => [8, 4].map((TW) => ({ kernel: "plain", WG, TW }) as const)),
    ],
    weightGradient: [
      ...(eight ? [{ kernel: "eight" } as const] : []),
      ...plain.map((WG) => ({ kernel: "plain", WG }) as const),
    ],
    halving: [...(eight ? [{ kernel: "halving" } as const] : []), PLAIN.halving],
  };
}

/** The kernels that convolve on a device: those chosen for it, or else the defaults. */
export function tuningOf(device: Device): Tuning {
  return (device.tuning ??= defaultTuning(device.lanes)) as Tuning;
}

/** What is chosen without measuring. */
export function defaultTuning(lanes: Lanes): Tuning {
  const { forward, weightGradient, halving } = candidates(lanes);
  return { forward: forward[0]!, weightGradient: weightGradient[0]!, halving: halving[0]! };
}

/** Whether a value, which may come from a file, is a choice for subgroups of so many lanes. */
export function isTuning(value: unknown, lanes: Lanes): value is Tuning {
  const found = (value ?? {}) as Record<string, unknown>;
  return Object.entries(candidates(lanes)).every(([family, choices]) =>
    choices.some((choice) => JSON.stringify(choice) === JSON.stringify(found[family])),
  );
}
