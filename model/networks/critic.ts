// The critic of UAGAN, which is that of StarGAN in three dimensions: it judges how real an image looks, patch
// by patch, and says which contrast it shows. Yuan et al., MICCAI 2019 (arXiv 1907.03548); Choi et al., CVPR
// 2018.
//
// It is a chain of convolutions of edge 4 and stride 2, each with a leaky ReLU, and has no norm: so it is
// linear piece by piece, and its gradient by the image is the chain run backwards with the slopes of the
// pieces. That gradient can be differentiated by the kernels like any other output.

import {
  cast,
  conv3d,
  convTranspose3d,
  fill,
  globalAveragePool,
  leakyRelu,
  leakyReluSlope,
  linear,
  type Tensor,
} from "../../engine/index.ts";
import type { Architecture } from "./architecture.ts";
import type { VnetConfig } from "./layers.ts";
import type { Params } from "./params.ts";

/** The tensors of a critic of L layers. */
export interface CriticTensors {
  /** [F·2^l, the channels before, 4,4,4] each. */
  kernels: readonly Tensor[];
  /** [F·2^l] each. */
  biases: readonly Tensor[];
  /** [1,C,3,3,3] of the last layer's C channels. */
  realness: Tensor;
  /** [contrasts,C] */
  contrasts: Tensor;
}

/** The tap of the logits of the contrasts [N,contrasts]. */
export const CONTRASTS = "contrasts";
/** The tap of the gradient of the sum of the realness by the image [N,1,D,H,W]. */
export const GRADIENT = "gradient";

const EDGE = 4;
const HALVE = { stride: 2, padding: 1 };

/**
 * A critic of `classes` contrasts. It has a layer less than a V-Net of the same sizes has levels, so that it
 * takes the same patches. Its logits are the realness [N,1,D/2^L,…] of patches.
 */
export const critic: Architecture<VnetConfig> = {
  kind: "critic",
  tensors(config) {
    const shapes = new Map<string, readonly number[]>();
    layersOf(config).forEach(({ name, shape }) =>
      shapes.set(`${name}.weight`, shape).set(`${name}.bias`, [shape[0]!]),
    );
    const last = widest(config);
    return shapes.set("realness.weight", [1, last, 3, 3, 3]).set("contrasts.weight", [config.classes, last]);
  },
  forward(params, x, config, how) {
    const tensors = tensorsOf(params, config);
    const { realness, contrasts, inner } = judged(x, tensors);
    const taps: Readonly<Record<string, () => Tensor>> = {
      [CONTRASTS]: () => contrasts,
      [GRADIENT]: () => cast(inputGradient(inner, tensors), "f32"),
    };
    const wanted = (how.taps ?? []).map((tap) => {
      const make = taps[tap];
      if (!make) throw new Error(`critic: expected the tap ${CONTRASTS} or ${GRADIENT}, got ${tap}`);
      return [tap, make()] as const;
    });
    return { logits: cast(realness, "f32"), taps: Object.fromEntries(wanted), coarse: [] };
  },
  extents: ({ filters }) => ({ whole: 1, widest: Math.max(1, Math.ceil(filters / 8)), coupled: false }),
  coarseLevels: () => 0,
  checkPatch(patch, { levels }) {
    const step = 2 ** (levels - 1);
    if (patch.length === 3 && patch.every((edge) => edge > 0 && edge % step === 0)) return;
    throw new Error(
      `patch: a critic of ${levels - 1} layers needs multiples of ${step}, got ${patch.join()}`,
    );
  },
};

/**
 * The realness [N,1,d,h,w] and the contrasts' logits [N,contrasts] of images [N,1,D,H,W], and what each layer
 * adds up before its leaky ReLU.
 */
export function judged(x: Tensor, { kernels, biases, realness, contrasts }: CriticTensors) {
  const inner: Tensor[] = [];
  let h = x;
  for (const [l, kernel] of kernels.entries()) {
    const sum = conv3d(h, kernel, biases[l]!, HALVE);
    inner.push(sum);
    h = leakyRelu(sum, slopeOf(l));
  }
  return { realness: conv3d(h, realness), contrasts: linear(globalAveragePool(h), contrasts), inner };
}

/**
 * The gradient by the image of the sum of the realness [N,1,D,H,W], from what the layers added up. It is
 * differentiated by the kernels; the pieces, and with them the biases, are constant nearly everywhere.
 */
export function inputGradient(
  inner: readonly Tensor[],
  { kernels, realness }: Pick<CriticTensors, "kernels" | "realness">,
): Tensor {
  const { device, precision, shape } = inner.at(-1)!;
  const ones = fill(device, [shape[0]!, 1, ...shape.slice(2)], 1, precision);
  let g = convTranspose3d(ones, realness, null, { stride: 1, padding: 1 });
  for (const [l, kernel] of [...kernels.entries()].reverse())
    g = convTranspose3d(leakyReluSlope(g, inner[l]!, slopeOf(l)), kernel, null, HALVE);
  return g;
}

/** The slope of a layer's leaky ReLU, as in the authors' code. */
function slopeOf(layer: number): number {
  return layer === 0 ? 0.001 : 0.01;
}

function widest({ filters, levels }: VnetConfig): number {
  return filters * 2 ** (levels - 2);
}

function layersOf({ modalities, filters, levels }: VnetConfig) {
  return Array.from({ length: levels - 1 }, (_, l) => {
    const inputs = l ? filters * 2 ** (l - 1) : modalities;
    return { name: `layer_${l + 1}`, shape: [filters * 2 ** l, inputs, EDGE, EDGE, EDGE] };
  });
}

function tensorsOf(params: Params, config: VnetConfig): CriticTensors {
  const last = widest(config);
  const layers = layersOf(config).map(({ name, shape }) => {
    const fan = shape[1]! * EDGE ** 3;
    return [
      params.weight(`${name}.weight`, shape, fan),
      params.weight(`${name}.bias`, [shape[0]!], fan),
    ] as const;
  });
  return {
    kernels: layers.map(([kernel]) => kernel),
    biases: layers.map(([, bias]) => bias),
    realness: params.weight("realness.weight", [1, last, 3, 3, 3], 27 * last),
    contrasts: params.weight("contrasts.weight", [config.classes, last], last),
  };
}
