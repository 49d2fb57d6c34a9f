// What is no number: the error that ends a run, and the look at tensors before they are kept.

import type { Values } from "./params.ts";

/** Losses, gradients or weights that are no numbers. The checkpoints from before are good. */
export class DivergedError extends Error {
  override readonly name = "DivergedError";
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
