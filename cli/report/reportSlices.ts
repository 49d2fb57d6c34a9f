// The report's slices: rows of pictures of one case, and a legend of their colours.

import type { Vec3 } from "../../model/scoring/regions.ts";
import { escape, legend } from "./reportPage.ts";
import {
  CLASS_COLOURS,
  type Colours,
  DIFFERENCE_COLOURS,
  headWindow,
  pngDataUri,
  renderSlice,
  WINDOW_COLOURS,
} from "./slices.ts";

/** A row of pictures of one case: the scan, its label, the predictions, their differences. */
export interface ReportSlice {
  case: string;
  /** The topic of this row, if a case has several. */
  about?: string;
  images: ReportImage[];
  plane: "axial";
  /** Position along D. */
  index: number;
}

/** A scan `grey` [D,H,W] of any intensities, and over it classes, differences of two maps, or windows. */
export interface ReportImage {
  title: string;
  size: Vec3;
  grey: Float32Array;
  labels?: Uint8Array;
  differences?: Uint8Array;
  /** The edges of windows, by the values of WINDOW_COLOURS. */
  outlines?: Uint8Array;
}

/** The section of slices. */
export function pictures(slices: readonly ReportSlice[]): string {
  if (slices.length === 0) return "";
  const shown = slices.flatMap(({ images }) => images);
  const differing = shown.some(({ differences }) => differences);
  const outlined = shown.some(({ outlines }) => outlines);
  const legends = [
    CLASS_COLOURS,
    ...(differing ? [DIFFERENCE_COLOURS] : []),
    ...(outlined ? [WINDOW_COLOURS] : []),
  ]
    .map(colourLegend)
    .join("");
  return `<section><h2>Slices</h2>${legends}${pictureRows(slices)}</section>`;
}

/** A row of pictures for each slice, under the name of its case. */
export function pictureRows(slices: readonly ReportSlice[]): string {
  const rows = slices.map(({ case: name, about, images, index, plane }, i) => {
    const first = images[0];
    const window = first && headWindow(first, index);
    const figures = images.map((image) => {
      const source = window && pngDataUri(draw(image, index, window));
      const words = escape(`${image.title}, ${name}`);
      const caption = `<figcaption>${escape(image.title)}</figcaption>`;
      return `<figure><img src="${source}" alt="${words}">${caption}</figure>`;
    });
    const place = `${plane} slice ${index + 1} of ${first?.size[0]}${about === undefined ? "" : `: ${about}`}`;
    const heading = slices[i - 1]?.case === name ? "" : `<h3>${escape(name)}</h3>`;
    return `${heading}<p class="quiet">${escape(place)}</p>
<div class="scroll"><div class="slices">${figures.join("")}</div></div>`;
  });
  return rows.join("\n");
}

function draw(
  { size, grey, labels, differences, outlines }: ReportImage,
  index: number,
  window: Parameters<typeof renderSlice>[2],
): Uint8Array {
  if (differences) return renderSlice({ size, grey, labels: differences }, index, window, DIFFERENCE_COLOURS);
  if (outlines) return renderSlice({ size, grey, labels: outlines }, index, window, WINDOW_COLOURS);
  return renderSlice({ size, grey, ...(labels && { labels }) }, index, window);
}

function colourLegend(colours: Colours): string {
  return legend(colours.map(({ name, rgb }) => ({ name, colour: `rgb(${rgb.join(",")})` })));
}
