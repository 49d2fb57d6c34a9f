// Axial slices as PNG: the scan in grey, and over it a label's classes in colours that differ for the
// colour-blind and in print (yellow, vermilion and sky blue of Okabe and Ito's palette).

import { encode } from "fast-png";
import { largest } from "../../engine/values.ts";
import { greysOf } from "../../data/preparation/slices.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";

/** A scan [D,H,W] of any intensities, and optionally a map of network classes over it. */
export interface SliceImage {
  size: Vec3;
  grey: Float32Array;
  labels?: Uint8Array;
}

/** The part of a slice to draw: rows and columns, ends excluded. */
export interface Window {
  top: number;
  bottom: number;
  left: number;
  right: number;
}

/** The names and colours (RGB, 0 to 255) of a map's values. */
export type Colours = readonly { value: number; name: string; rgb: Vec3 }[];

/** The network's foreground classes, in the order of the legend. */
export const CLASS_COLOURS: Colours = [
  { value: 1, name: "enhancing tumour (ET)", rgb: [240, 228, 66] },
  { value: 2, name: "necrotic or non-enhancing core (NCR)", rgb: [213, 94, 0] },
  { value: 3, name: "oedema (ED)", rgb: [86, 180, 233] },
];

/** The values of differences(). */
export const DIFFERENCE_COLOURS: Colours = [
  { value: 1, name: "difference: tumour missed", rgb: [204, 121, 167] },
  { value: 2, name: "difference: false tumour", rgb: [230, 159, 0] },
  { value: 3, name: "difference: wrong class", rgb: [0, 158, 115] },
];

/** The outlines of windows, by the region that is most probable there. */
export const WINDOW_COLOURS: Colours = [
  { value: 1, name: "window of WT", rgb: [86, 180, 233] },
  { value: 2, name: "window of TC", rgb: [213, 94, 0] },
  { value: 3, name: "window of ET", rgb: [240, 228, 66] },
];

const opacity = 0.6;

/** Compares a prediction with its label, voxel by voxel: 0 if equal, else a value of DIFFERENCE_COLOURS. */
export function differences(label: Uint8Array, prediction: Uint8Array): Uint8Array {
  return label.map((value, i) => {
    const found = prediction[i]!;
    if (value === found) return 0;
    return found === 0 ? 1 : value === 0 ? 2 : 3;
  });
}

/** The axial slice where maps of differences [D,H,W] have the largest area; null without differences. */
export function worstSlice(maps: readonly Uint8Array[], [D, H, W]: Vec3): number | null {
  const area = (d: number) =>
    maps.reduce((sum, map) => sum + map.subarray(d * H * W, (d + 1) * H * W).filter(Boolean).length, 0);
  const areas = Array.from({ length: D }, (_, d) => area(d));
  const most = largest(areas);
  return most > 0 ? areas.indexOf(most) : null;
}

/** The box around all pixels unlike the slice's corner (air), with a margin; the whole slice without any. */
export function headWindow({ size: [, H, W], grey }: SliceImage, index: number): Window {
  const air = grey[index * H * W]!;
  const box = { top: H, bottom: 0, left: W, right: 0 };
  for (let h = 0; h < H; h++) {
    for (let w = 0; w < W; w++) {
      if (grey[(index * H + h) * W + w] === air) continue;
      box.top = Math.min(box.top, h);
      box.bottom = Math.max(box.bottom, h + 1);
      box.left = Math.min(box.left, w);
      box.right = Math.max(box.right, w + 1);
    }
  }
  if (box.bottom === 0) return { top: 0, bottom: H, left: 0, right: W };
  const margin = Math.ceil(0.03 * Math.max(H, W));
  return {
    top: Math.max(0, box.top - margin),
    bottom: Math.min(H, box.bottom + margin),
    left: Math.max(0, box.left - margin),
    right: Math.min(W, box.right + margin),
  };
}

/**
 * Slice `index` as an RGB PNG, with greys from greysOf(): a pixel per voxel and rows as stored (for scans in
 * LPS, as BraTS: front up, the patient's left on the right).
 */
export function renderSlice(
  { size: [, H, W], grey, labels }: SliceImage,
  index: number,
  window: Window,
  colours = CLASS_COLOURS,
): Uint8Array {
  const greys = greysOf(grey.subarray(index * H * W, (index + 1) * H * W));
  const [width, height] = [window.right - window.left, window.bottom - window.top];
  const data = new Uint8Array(3 * width * height);
  for (let row = 0, pixel = 0; row < height; row++) {
    for (let column = 0; column < width; column++, pixel += 3) {
      const at = (row + window.top) * W + column + window.left;
      const shade = greys[at]!;
      const label = labels?.[index * H * W + at] ?? 0;
      const colour = colours.find((known) => known.value === label)?.rgb;
      for (let k = 0; k < 3; k++) {
        data[pixel + k] = Math.round(colour ? opacity * colour[k]! + (1 - opacity) * shade : shade);
      }
    }
  }
  return encode({ width, height, data, channels: 3, depth: 8 });
}

/** The bytes of a PNG as the `src` of an image. */
export function pngDataUri(png: Uint8Array): string {
  return `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
}
