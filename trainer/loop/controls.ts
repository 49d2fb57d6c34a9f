// Controls of methods that learn from networks that were trained before: such a network's outputs or weights
// are replaced, so that a run shows what the method's terms do without what that network knows. No method
// knows of them.

import { samples, stack, type Tensor } from "../../engine/index.ts";
import type { ParamSource } from "../../model/networks/params.ts";
import { type BatchOutput, whole } from "../../model/networks/parts.ts";

/**
 * "shuffled": each sample of a batch gets what the networks say of the sample before it. "twin": the teacher
 * sees the student's contrasts alone. "untrained": the networks' weights are drawn.
 */
export const CONTROLS = ["none", "shuffled", "twin", "untrained"] as const;
export type Control = (typeof CONTROLS)[number];

const UNTRAINED = 7_000_003; // between the seed of a run and those of its untrained networks

/** The source of the weights of the untrained network of this place, from 0 on, in a run of this seed. */
export function untrainedSource(seed: number, place: number): ParamSource {
  return { seed: seed + UNTRAINED * (place + 1) };
}

/**
 * Returns an output in which each sample has what the network computed of the sample before it, and the first
 * what it computed of the last. Taps keep their parts. Throws for a batch of one.
 */
export function rolled({ logits, taps, coarse }: BatchOutput): BatchOutput {
  const moved = Object.entries(taps).map(([name, parts]) => {
    let end = 0;
    const all = roll(whole(parts));
    const sizes = parts.map(({ shape }) => shape[0]!);
    const cut = sizes.length === 1 ? [all] : sizes.map((size) => samples(all, end, (end += size)));
    return [name, cut] as const;
  });
  return { logits: roll(logits), taps: Object.fromEntries(moved), coarse: coarse.map(roll) };
}

function roll(x: Tensor): Tensor {
  const last = x.shape[0]! - 1;
  if (last < 1) throw new Error("rolled: expected a batch of two or more, got one of 1");
  return stack([samples(x, last, last + 1), samples(x, 0, last)]);
}
