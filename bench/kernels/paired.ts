// The losses of PMKL at the shape of the logits.

import { maskedSoftCrossEntropy } from "../../engine/index.ts";
import { VNET } from "../../model/networks/vnet.ts";
import * as reference from "../../test/support/reference/paired.ts";
import { labels, normal } from "../values.ts";
import { against, forward, type KernelCase } from "./case.ts";

/** The cases of a network on patches [D,H,W]. */
export function pairedCases(_filters: number, patch: readonly number[]): KernelCase[] {
  const shape = [1, VNET.classes, ...patch];
  const logits = () => normal(shape);
  const targets = () => normal(shape, 2, 2);
  const label = () => labels([1, ...patch], VNET.classes);
  const read = { logits, targets, label };
  return [
    {
      op: "maskedSoftCrossEntropy",
      detail: `${VNET.classes} classes`,
      size: patch,
      inputs: { ...read, held: logits }, // the reference's weights do not follow the logits
      run: ({ logits, targets, label }) => maskedSoftCrossEntropy(logits!, targets!, label!),
      passes: [forward(read), { name: "backward", by: ["logits"], reads: Object.keys(read) }],
      check: against(({ logits, ...others }) => reference.maskedSoftCrossEntropy(logits!, others)),
    },
  ];
}
