// One slice three times: the image, and over it what the network says and what the label says.

import { element } from "../ui/dom.ts";
import type { SliceNews } from "./trainProtocol.ts";
import { CLASS_COLOURS } from "../segment/viewer.ts";

/** Draws a slice into `place`, in place of the one before. */
export function showSlice(place: HTMLElement, title: string, slice: SliceNews): void {
  const { prediction, label } = slice;
  const parts = [
    ["image", null],
    ["prediction", prediction],
    ["label", label],
  ] as const;
  const figures = parts.map(([name, classes]) =>
    element("figure", {}, draw(slice, classes, `${title}: ${name}`), element("figcaption", {}, name)),
  );
  place.replaceChildren(...figures);
}

function draw(
  { image, width, height }: SliceNews,
  classes: Uint8Array | null,
  text: string,
): HTMLCanvasElement {
  const canvas = element("canvas", { width, height, role: "img", "aria-label": text });
  const pixels = new ImageData(width, height);
  for (let i = 0; i < image.length; i++) {
    const found = classes?.[i] ?? 0;
    const colour = CLASS_COLOURS[found] ?? CLASS_COLOURS[0];
    for (let c = 0; c < 3; c++) {
      pixels.data[4 * i + c] = found ? 0.35 * image[i]! + 0.65 * colour[c]! : image[i]!;
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas;
}
