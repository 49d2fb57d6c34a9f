import { protokdTerms } from "../losses/losses.ts";
import type { Method } from "./method.ts";

/** Wang et al., ICASSP 2023 (arXiv 2303.09830): pixel-wise and prototype distillation. */
export const protokd: Method = {
  name: "protokd",
  teacher: true,
  terms(student, teacher, label, weights) {
    if (!teacher) throw new Error("protokd: the method needs a teacher's output");
    return protokdTerms(student, teacher, label, weights);
  },
};
