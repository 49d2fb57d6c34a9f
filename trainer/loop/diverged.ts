// The error of diverged training, and the check of tensors before they are saved.

import type { Values } from "../../model/networks/params.ts";

/** Losses, gradients or weights that are NaN or infinite. Checkpoints saved before are intact. */
export class DivergedError extends Error {
  override readonly name = "DivergedError";
}

/** A training that goes on without learning anything. Checkpoints saved before are intact. */
export class CollapseError extends Error {
  override readonly name = "CollapseError";
}

/** The error of gradients that overflow half precision. */
export function overflow(step: number, cases: readonly string[]): DivergedError {
  return new DivergedError(
    `step ${step}: gradients overflow half precision even unscaled (cases ${cases.join(", ")}): ` +
      "lower the learning rate, or train with --precision f32",
  );
}

/** The error after too many skipped steps in a row. */
export function diverged(
  { step, cases, losses }: { step: number; cases: readonly string[]; losses: Record<string, number> },
  part: "loss" | "gradient",
  times: number,
): DivergedError {
  const values = Object.entries(losses).map(([name, value]) => `${name} ${value}`);
  const often = times === 1 ? "" : ` in ${times} steps in a row`;
  return new DivergedError(
    `step ${step}: ${part} not finite${often} (${values.join(", ")}), the last on cases ${cases.join(", ")}; ` +
      "the parameters are as before: lower the learning rate, or look at these cases",
  );
}

/** Throws a DivergedError if a tensor holds NaN or infinity; `where` names the file or place in messages. */
export function checkFinite(tensors: Readonly<Record<string, Values>>, where: string): void {
  for (const [name, { data }] of Object.entries(tensors)) {
    if (data.every(Number.isFinite)) continue;
    throw new DivergedError(
      `${where}: ${name} holds NaN or infinity and is not saved; the checkpoints from before are intact: ` +
        "lower the learning rate, or train with --precision f32",
    );
  }
}
