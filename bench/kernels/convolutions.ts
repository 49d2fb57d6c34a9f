// The convolutions of the V-Net, each at its own shape, with all their gradients.

import type { Geometry } from "../../engine/convolution/geometry.ts";
import { channelSum, conv3d, convTranspose3d } from "../../engine/index.ts";
import { VNET } from "../../model/networks/vnet.ts";
import { type Layer, vnetLayers } from "../../model/networks/layers.ts";
import * as reference from "../../test/support/reference/norms.ts";
import { normal, sizeOf } from "../values.ts";
import { against, forward, type KernelCase, type Pass } from "./case.ts";
import { convolutionCheck } from "./convolutionCheck.ts";

/** Edge, stride and padding of each kind of layer. */
const GEOMETRY: Readonly<Record<Layer["kind"], Geometry>> = {
  same: { kernel: 3, stride: 1, padding: 1 },
  down: { kernel: 2, stride: 2, padding: 0 },
  up: { kernel: 2, stride: 2, padding: 0 },
  head: { kernel: 1, stride: 1, padding: 0 },
  auxiliary: { kernel: 1, stride: 1, padding: 0 },
};

/**
 * The convolutions of a teacher and a student with `filters` filters, on a patch [D,H,W]; equal ones once.
 */
export function convolutionCases(filters: number, patch: readonly number[]): KernelCase[] {
  const cases = new Map<string, KernelCase>();
  for (const kind of KINDS) {
    for (const { inputs, outputs } of layersOf(kind, filters)) {
      const level = Math.log2((kind === "same" ? outputs : inputs) / filters);
      const size = patch.map((edge) => edge / 2 ** level);
      cases.set(`${kind} ${inputs} ${outputs} ${size}`, convolutionCase({ kind, inputs, outputs }, size));
    }
  }
  return [...cases.values(), biasCase(filters, patch)];
}

const KINDS = Object.keys(GEOMETRY) as Layer["kind"][];

/** The layers of one kind in a student and in a teacher, sorted by channels. */
function layersOf(kind: Layer["kind"], filters: number): Layer[] {
  const layers = [1, 4].flatMap((modalities) => [...vnetLayers({ ...VNET, modalities, filters })]);
  return layers
    .filter((layer) => layer.kind === kind)
    .sort((a, b) => a.outputs - b.outputs || a.inputs - b.inputs);
}

/** The convolution of a layer of this kind, on [1,inputs,...size]. */
function convolutionCase(
  { kind, inputs, outputs }: Pick<Layer, "kind" | "inputs" | "outputs">,
  size: readonly number[],
): KernelCase {
  const geometry = GEOMETRY[kind];
  const { kernel, stride, padding } = geometry;
  const transposed = kind === "up";
  const edges = [kernel, kernel, kernel];
  const weight = transposed ? [inputs, outputs, ...edges] : [outputs, inputs, ...edges];
  const small = transposed ? size : size.map((edge) => edge / stride);
  const operations = 2 * inputs * outputs * sizeOf(edges) * sizeOf(small);
  const draws = {
    x: () => normal([1, inputs, ...size]),
    weight: () => normal(weight, 2, (inputs * kernel ** 3) ** -0.5),
    ...(kind !== "same" && { bias: () => normal([outputs], 3) }),
  };
  const gradient = (name: Pass["name"], by: string, reads: string[]): Pass => ({
    name,
    by: [by],
    reads,
    operations,
  });
  return {
    op: transposed ? "convTranspose3d" : "conv3d",
    detail: `${kernel}³${stride > 1 ? `, stride ${stride}` : ""}, ${inputs} to ${outputs}`,
    size,
    inputs: draws,
    run: ({ x, weight, bias }) =>
      transposed
        ? convTranspose3d(x!, weight!, bias, { stride, padding })
        : conv3d(x!, weight!, bias, { stride, padding }),
    passes: [
      forward(draws, operations),
      gradient("data gradient", "x", ["weight", "dy"]),
      gradient("weight gradient", "weight", ["x", "dy"]),
    ],
    check: convolutionCheck(geometry, transposed),
  };
}

/** The gradient of a bias, which is the same sum for every convolution. */
function biasCase(filters: number, patch: readonly number[]): KernelCase {
  const inputs = { x: () => normal([1, filters, ...patch]) };
  return {
    op: "channelSum",
    detail: `a bias's gradient, ${filters}`,
    size: patch,
    inputs,
    run: ({ x }) => channelSum(x!),
    passes: [forward(inputs)],
    check: against(({ x }) => reference.channelSum(x!)),
  };
}
