import { protokdTerms } from "../losses/losses.ts";
import type { Method } from "./method.ts";

/** Pixel-wise distillation alone (Hinton et al., arXiv 1503.02531): ProtoKD without its prototypes, the paper's "KD". */
export const kd: Method = {
  name: "kd",
  teacher: true,
  terms(student, teacher, label, weights) {
    if (!teacher) throw new Error("kd: the method needs a teacher's output");
    return protokdTerms(student, teacher, label, { ...weights, prototype: 0 });
  },
};
