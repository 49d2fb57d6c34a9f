// What a distillation method is to the trainer: the terms of the student's loss.

import type { Tensor } from "../../engine/index.ts";
import type { BatchOutput, Terms, Weights } from "../losses/losses.ts";

export interface Method {
  name: string;
  /** Whether it needs the output of a trained teacher. */
  teacher: boolean;
  /** The terms to minimise; `teacher` is null where the method needs none. */
  terms(student: BatchOutput, teacher: BatchOutput | null, label: Tensor, weights: Weights): Terms;
}
