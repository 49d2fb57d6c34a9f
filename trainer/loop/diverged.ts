// What is no number: the error that ends a run, and the look at tensors before they are kept.

import type { Values } from "../../model/networks/params.ts";

/** Losses, gradients or weights that are no numbers. The checkpoints from before are good. */
export class DivergedError extends Error {
  override readonly name = "DivergedError";
}

/** What is said where half precision cannot hold the gradients of a step. */
export function overflow(step: number, cases: readonly string[]): DivergedError {
  return new DivergedError(
    `step ${step}: gradients overflow half precision even unscaled, on ${cases.join(", ")}: ` +
      "lower the learning rate, or train with --precision f32",
  );
}

/** What is said after as many steps as may be left out in a row. */
export function diverged(
  { step, cases, losses }: { step: number; cases: readonly string[]; losses: Record<string, number> },
  what: "loss" | "gradient",
  times: number,
): DivergedError {
  const values = Object.entries(losses).map(([name, value]) => `${name} ${value}`);
  const often = times === 1 ? "" : `, ${times} times in a row`;
  return new DivergedError(
    `step ${step}: the ${what} is no number${often} (${values.join(", ")}): the last on ${cases.join(", ")}; ` +
      "the parameters are as before: lower the learning rate, or look at these cases",
  );
}

/** Throws a DivergedError that names a tensor which holds NaN or infinity; `where` is what would be written. */
export function checkFinite(tensors: Readonly<Record<string, Values>>, where: string): void {
  for (const [name, { data }] of Object.entries(tensors)) {
    if (data.every(Number.isFinite)) continue;
    throw new DivergedError(
      `${where}: ${name} holds NaN or infinity, and is not saved; the checkpoints from before are intact: ` +
        "lower the learning rate, or train with --precision f32",
    );
  }
}
