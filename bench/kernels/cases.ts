// All cases of the kernel benchmark, for the command line and for the page.

import type { KernelCase } from "./case.ts";
import { convolutionCases } from "./convolutions.ts";
import { lossCases } from "./losses.ts";
import { pairedCases } from "./paired.ts";
import { regionCases } from "./regions.ts";
import { teacherCases } from "./teachers.ts";
import { volumeCases } from "./volumes.ts";

/** The filters and the patch [D,H,W] of the network whose shapes are timed. */
export interface KernelSize {
  filters: number;
  patch: readonly number[];
}

/** The cases whose op and detail contain a text; perhaps none. */
export function kernelCases({ filters, patch }: KernelSize, text = ""): KernelCase[] {
  const all = [convolutionCases, volumeCases, lossCases, regionCases, teacherCases, pairedCases].flatMap(
    (cases) => cases(filters, patch),
  );
  return all.filter(({ op, detail }) => `${op} ${detail}`.toLowerCase().includes(text.toLowerCase()));
}

/** The message for a text that matches no case. */
export function noCase(size: KernelSize, text: string): string {
  const ops = [...new Set(kernelCases(size).map(({ op }) => op))];
  return `no case has "${text}" in its name; the ops are ${ops.join(", ")}`;
}
