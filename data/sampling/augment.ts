// Augmentation of training patches: as in the published ProtoKD code, as in nnU-Net, for the views of a
// pretraining, or none. Spatial changes are the same for all modalities and the label; intensities change
// channel by channel.

import type { Random } from "../../engine/autograd/random.ts";
import {
  addNoise,
  blur,
  brighten,
  changeContrast,
  changeGamma,
  lowerResolution,
  whiteNoise,
} from "./augmentIntensity.ts";
import { type Matrix, turning } from "./augmentSpatial.ts";
import type { Vec3 } from "../nifti/geometry.ts";

export type Augmentation = "paper" | "nnunet" | "views" | "none";

/** A patch whose intensities are changed in place. */
export interface Patch {
  /** D, H, W. */
  size: Vec3;
  /** In the order of the modalities. */
  channels: readonly Channel[];
}

export interface Channel {
  voxels: Float32Array;
  /** The value outside the brain. */
  background: number;
  /** The generator of this channel alone: its draws do not depend on which other channels are loaded. */
  random: Random;
}

/** An augmentation. `random` is the patch's generator, for draws that all channels share. */
export interface Recipe {
  /** True to mirror each axis with probability 1/2. */
  flips: boolean;
  /** Draws rotation and scaling of a patch in a volume of this spacing (mm, [D, H, W]); null for none. */
  turn(random: Random, spacing: Vec3): Matrix | null;
  /** Changes the intensities in place. */
  intensities(patch: Patch, random: Random): void;
}

/**
 * Probabilities and ranges of nnU-Net v2 (nnUNetTrainer.get_training_transforms). `share` is the probability
 * that a patch is changed, `channel` that each of its channels then is. Ranges are uniform; factors around 1
 * are below it as often as above.
 */
export const NNUNET = {
  rotation: { share: 0.2, range: [-Math.PI / 6, Math.PI / 6] },
  scaling: { share: 0.2, range: [0.7, 1.4] },
  noise: { share: 0.1, deviation: [0, 0.1] },
  blur: { share: 0.2, channel: 0.5, deviation: [0.5, 1] },
  brightness: { share: 0.15, factor: [0.75, 1.25] },
  contrast: { share: 0.15, factor: [0.75, 1.25] },
  lowResolution: { share: 0.25, channel: 0.5, scale: [0.5, 1] },
  invertedGamma: { share: 0.1, gamma: [0.7, 1.5] },
  gamma: { share: 0.3, gamma: [0.7, 1.5] },
} as const;

/**
 * Ranges of the views that self-distillation compares, by the kinds of change in DeSD (Ye et al., MICCAI
 * 2022), without rotation; strengths and probabilities are our choice.
 */
export const VIEWS = {
  scaling: { range: [0.8, 1.2] },
  noise: { channel: 0.5, deviation: [0, 0.1] },
  blur: { channel: 0.5, deviation: [0.5, 1] },
  brightness: { channel: 0.5, factor: [0.75, 1.25] },
  contrast: { channel: 0.5, factor: [0.75, 1.25] },
  gamma: { channel: 0.5, gamma: [0.7, 1.5] },
} as const;

export const AUGMENTATIONS: Readonly<Record<Augmentation, Recipe>> = {
  paper: { flips: true, turn: () => null, intensities: scaleChannels },
  nnunet: { flips: true, turn: drawTurn, intensities: changeIntensities },
  views: { flips: true, turn: drawScaling, intensities: changeView },
  none: { flips: false, turn: () => null, intensities: () => undefined },
};

/** Multiplies each channel by U(0.9, 1.1) with probability 1/2 (methods of Wang et al. §1.3). */
function scaleChannels({ channels }: Patch): void {
  for (const { voxels, random } of channels) {
    if (happens(random, 0.5)) brighten(voxels, uniform(random, [0.9, 1.1]));
  }
}

function drawTurn(random: Random, spacing: Vec3): Matrix | null {
  const [rotated, scaled] = [happens(random, NNUNET.rotation.share), happens(random, NNUNET.scaling.share)];
  if (!rotated && !scaled) return null;
  const angle = () => (rotated ? uniform(random, NNUNET.rotation.range) : 0);
  const angles: Vec3 = [angle(), angle(), angle()];
  return turning(angles, scaled ? uniform(random, NNUNET.scaling.range) : 1, spacing);
}

function drawScaling(random: Random, spacing: Vec3): Matrix {
  return turning([0, 0, 0], uniform(random, VIEWS.scaling.range), spacing);
}

/** Changes each channel of a view by itself; the air around the brain stays the same. */
function changeView({ size, channels }: Patch): void {
  const air = surroundings(channels);
  for (const { voxels, random } of channels) {
    const { noise, brightness, contrast, gamma } = VIEWS;
    if (happens(random, noise.channel))
      addNoise(voxels, whiteNoise(voxels.length, random), uniform(random, noise.deviation));
    if (happens(random, VIEWS.blur.channel)) {
      const deviation = () => uniform(random, VIEWS.blur.deviation);
      blur(voxels, size, [deviation(), deviation(), deviation()]);
    }
    if (happens(random, brightness.channel)) brighten(voxels, aroundOne(random, brightness.factor));
    if (happens(random, contrast.channel)) changeContrast(voxels, aroundOne(random, contrast.factor));
    if (happens(random, gamma.channel))
      changeGamma(voxels, aroundOne(random, gamma.gamma), { inverted: false });
  }
  keepAir(channels, air);
}

/**
 * Makes nnU-Net's changes, in its order. The air around the brain stays the same (nnU-Net's
 * MaskImageTransform).
 */
function changeIntensities({ size, channels }: Patch, random: Random): void {
  const air = surroundings(channels);
  if (happens(random, NNUNET.noise.share)) {
    const deviation = uniform(random, NNUNET.noise.deviation);
    const noise = whiteNoise(channels[0]!.voxels.length, random); // the same for all channels
    for (const { voxels } of channels) addNoise(voxels, noise, deviation);
  }
  each(NNUNET.blur, ({ voxels, random: own }) => {
    const deviation = () => uniform(own, NNUNET.blur.deviation);
    blur(voxels, size, [deviation(), deviation(), deviation()]);
  });
  each(NNUNET.brightness, ({ voxels, random: own }) =>
    brighten(voxels, aroundOne(own, NNUNET.brightness.factor)),
  );
  each(NNUNET.contrast, ({ voxels, random: own }) =>
    changeContrast(voxels, aroundOne(own, NNUNET.contrast.factor)),
  );
  each(NNUNET.lowResolution, ({ voxels, random: own }) =>
    lowerResolution(voxels, size, uniform(own, NNUNET.lowResolution.scale)),
  );
  each(NNUNET.invertedGamma, ({ voxels, random: own }) =>
    changeGamma(voxels, aroundOne(own, NNUNET.invertedGamma.gamma), { inverted: true }),
  );
  each(NNUNET.gamma, ({ voxels, random: own }) =>
    changeGamma(voxels, aroundOne(own, NNUNET.gamma.gamma), { inverted: false }),
  );
  keepAir(channels, air);

  function each(chance: { share: number; channel?: number }, change: (channel: Channel) => void): void {
    if (!happens(random, chance.share)) return;
    for (const channel of channels) if (happens(channel.random, chance.channel ?? 1)) change(channel);
  }
}

/** Sets the voxels of the air back to the background. */
function keepAir(channels: readonly Channel[], air: Uint8Array): void {
  for (const { voxels, background } of channels)
    for (let i = 0; i < air.length; i++) if (air[i]) voxels[i] = background;
}

/** Returns 1 for each voxel at which every channel has exactly its background. */
function surroundings(channels: readonly Channel[]): Uint8Array {
  const air = new Uint8Array(channels[0]!.voxels.length).fill(1);
  for (const { voxels, background } of channels) {
    for (let i = 0; i < air.length; i++) if (voxels[i] !== background) air[i] = 0;
  }
  return air;
}

function happens(random: Random, probability: number): boolean {
  return random.next() < probability;
}

function uniform(random: Random, [low, high]: readonly [number, number]): number {
  return low + (high - low) * random.next();
}

/** Draws a factor that is below 1 as often as above. */
function aroundOne(random: Random, [low, high]: readonly [number, number]): number {
  return uniform(random, happens(random, 0.5) ? [low, 1] : [1, high]);
}
