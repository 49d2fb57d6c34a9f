// All that the bench of the kernels times, for the command line and the page alike.

import type { KernelCase } from "./case.ts";
import { convolutionCases } from "./convolutions.ts";
import { lossCases } from "./losses.ts";
import { regionCases } from "./regions.ts";
import { volumeCases } from "./volumes.ts";

/** A network's filters and patch [D,H,W], whose shapes are timed. */
export interface KernelSize {
  filters: number;
  patch: readonly number[];
}

/** The cases whose op and detail contain a text; it may match none. */
export function kernelCases({ filters, patch }: KernelSize, text = ""): KernelCase[] {
  const all = [convolutionCases, volumeCases, lossCases, regionCases].flatMap((cases) =>
    cases(filters, patch),
  );
  return all.filter(({ op, detail }) => `${op} ${detail}`.toLowerCase().includes(text.toLowerCase()));
}

/** What is said where a text matches no case. */
export function noCase(size: KernelSize, text: string): string {
  const ops = [...new Set(kernelCases(size).map(({ op }) => op))];
  return `no case has "${text}" in its name; the ops are ${ops.join(", ")}`;
}
