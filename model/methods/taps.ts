// The sizes of a V-Net's taps.

import type { NetworkSpec } from "./method.ts";

/** The level of a tap such as E_4 or D_1, counted from full resolution. */
export function levelOf(tap: string): number {
  return Number(tap.slice(2));
}

/** The tap of a network's lowest level. */
export function bottleneckOf({ config }: NetworkSpec): string {
  return `E_${config.levels}`;
}

/** The channels of a network's tap. */
export function widthOf({ config }: NetworkSpec, tap: string): number {
  return config.filters * 2 ** (levelOf(tap) - 1);
}
