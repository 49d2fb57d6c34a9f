import { segmentationTerms } from "../losses/losses.ts";
import type { Method } from "./method.ts";

/** Plain supervision: teachers, and students alone. */
export const none: Method = {
  name: "none",
  teacher: false,
  terms: (student, _teacher, label) => segmentationTerms(student.logits, label),
};
