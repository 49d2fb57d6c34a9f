// The losses of several teachers at the shape of the logits and of the last features.

import { mixtureDivergence, normaliseChannels, teacherMixture } from "../../engine/index.ts";
import { VNET } from "../../model/networks/vnet.ts";
import * as reference from "../../test/support/reference/teachers.ts";
import { normal } from "../values.ts";
import { against, forward, type KernelCase, type Pass } from "./case.ts";

const CLASSES = VNET.classes;
const TEMPERATURE = 5;

/** The cases of networks of so many filters, on patches [D,H,W]. */
export function teacherCases(filters: number, patch: readonly number[]): KernelCase[] {
  const logits = (seed: number) => () => normal([1, CLASSES, ...patch], seed, 2);
  const q = () => {
    const { shape, data } = normal([1, CLASSES, ...patch], 2);
    const softened = reference.softened({ shape, data: Float64Array.from(data) }, 2);
    return { shape, data: Float32Array.from(softened.data) };
  };
  const backward = (by: string, ...reads: string[]): Pass => ({ name: "backward", by: [by], reads });
  const two = { a: logits(1), b: logits(2), w: () => normal([1, 2], 3) };
  const compared = { logits: logits(1), q };
  const features = { x: () => normal([1, filters, ...patch], 1) };
  return [
    {
      op: "teacherMixture",
      detail: `2 teachers, ${CLASSES} classes`,
      size: patch,
      inputs: two,
      run: ({ a, b, w }) => teacherMixture([a!, b!], w!, TEMPERATURE),
      passes: [forward(two), backward("w", "a", "b", "dy")],
      check: against(({ a, b, w }) => reference.teacherMixture([a!, b!], w!, TEMPERATURE)),
    },
    {
      op: "mixtureDivergence",
      detail: `${CLASSES} classes`,
      size: patch,
      inputs: compared,
      run: ({ logits, q }) => mixtureDivergence(logits!, q!, TEMPERATURE),
      passes: [forward(compared), backward("logits", "logits", "q")],
      check: against(({ logits, q }) => reference.mixtureDivergence(logits!, q!, TEMPERATURE)),
    },
    {
      op: "normaliseChannels",
      detail: `${filters} channels`,
      size: patch,
      inputs: features,
      run: ({ x }) => normaliseChannels(x!),
      passes: [forward(features), backward("x", "x", "dy")],
      check: against(({ x }) => reference.normaliseChannels(x!), "voxels"),
    },
  ];
}
