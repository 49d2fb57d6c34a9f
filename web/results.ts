// What was found, in numbers, and the files to take away.

import { CLASS_NAMES } from "../data/labels.ts";
import { REGION_NAMES } from "../model/regions.ts";
import { bytesText } from "../engine/errors.ts";
import { element, table } from "./dom.ts";
import type { Result } from "./protocol.ts";
import { CLASS_COLOURS } from "./viewer.ts";

const REGION_TITLES = { WT: "Whole tumour", TC: "Tumour core", ET: "Enhancing tumour" } as const;

/** Shows the results of one case in `place`; `save` hands out the label map of a network. */
export function showResults(
  place: HTMLElement,
  results: readonly Result[],
  save: (result: Result) => void,
): void {
  const models = results.map(({ model }) => model.replace(/\.safetensors$/, ""));
  const columns = (cell: (result: Result, region: (typeof REGION_NAMES)[number]) => string) =>
    REGION_NAMES.map((region) => [REGION_TITLES[region], ...results.map((result) => cell(result, region))]);
  const parts: Node[] = [
    table(
      "Volume in ml",
      ["", ...models],
      columns(({ volumes }, region) => volumes[region].toFixed(1)),
    ),
  ];
  if (results.some(({ dice }) => dice)) {
    const rows = columns(({ dice }, region) => dice?.[region].toFixed(3) ?? "");
    parts.push(table("Dice, against the label", ["", ...models], rows));
  }
  const took = results.map(
    ({ seconds, peakBytes }, i) =>
      `${models[i]}: ${seconds.toFixed(1)} s, ${bytesText(peakBytes)} on the GPU`,
  );
  parts.push(element("p", { class: "hint" }, took.join("; ")));
  const buttons = results.map((result, i) =>
    element("button", { click: () => save(result) }, `Download ${models[i]}'s labels`),
  );
  parts.push(element("div", { class: "row" }, ...buttons), legend());
  place.replaceChildren(...parts);
}

/** The colours of the classes. */
export function legend(): HTMLElement {
  const items = CLASS_NAMES.slice(1).map((name, i) => {
    const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.backgroundColor = `rgb(${CLASS_COLOURS[i + 1]!.join(" ")})`;
    return element("li", {}, swatch, name);
  });
  return element("ul", { class: "legend", "aria-label": "Colours" }, ...items);
}
