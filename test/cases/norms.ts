import { channelSum } from "../../engine/ops/channelSum.ts";
import { type OpCase, random } from "../gradcheck.ts";
import * as reference from "../reference/norms.ts";

export const norms: OpCase[] = [
  {
    op: "channelSum",
    name: "a row of two chunks, far from zero",
    inputs: { x: random([1, 1, 1, 17, 257], { offset: 100 }) },
    run: ({ x }) => channelSum(x!),
    reference: ({ x }) => reference.channelSum(x!),
    step: 1, // the sum is linear
  },
  {
    op: "channelSum",
    name: "two samples of an odd size",
    inputs: { x: random([2, 3, 3, 5, 7]) },
    run: ({ x }) => channelSum(x!),
    reference: ({ x }) => reference.channelSum(x!),
  },
  {
    op: "channelSum",
    name: "40 channels of one voxel",
    inputs: { x: random([3, 40, 1, 1, 1]) },
    run: ({ x }) => channelSum(x!),
    reference: ({ x }) => reference.channelSum(x!),
  },
];
