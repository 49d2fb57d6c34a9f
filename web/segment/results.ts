// The results in numbers, and the files to download.

import { CLASS_NAMES } from "../../data/datasets/labels.ts";
import { REGION_NAMES } from "../../model/scoring/regions.ts";
import { bytesText } from "../../engine/gpu/errors.ts";
import { showFindings } from "../ui/alerts.ts";
import { element, table } from "../ui/dom.ts";
import type { Result } from "../worker/protocol.ts";
import { titlesOf } from "./modelList.ts";
import { CLASS_COLOURS } from "./viewer.ts";

const REGION_TITLES = { WT: "Whole tumour", TC: "Tumour core", ET: "Enhancing tumour" } as const;

export interface Saving {
  /** Downloads the label map of a network. */
  labels: (result: Result) => void;
  /** Downloads the similarity map that is shown; null if none is shown. */
  map: { name: string; save: (result: Result) => void } | null;
}

/** Shows the results of one case in `place`. */
export function showResults(place: HTMLElement, results: readonly Result[], { labels, map }: Saving): void {
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
  const warnings = [...new Set(results.flatMap((result) => result.warnings))];
  if (warnings.length) {
    const list = element("ul", { class: "note", "aria-label": "Warnings about the case" });
    showFindings(list, warnings);
    parts.unshift(list);
  }
  const took = results.map(
    ({ modalities, seconds, peakBytes }, i) =>
      `${models[i]}: saw ${titlesOf(modalities)}; ${seconds.toFixed(1)} s, ${bytesText(peakBytes)} on the GPU`,
  );
  parts.push(element("div", { class: "hint" }, ...took.map((text) => element("div", {}, text))));
  const buttons = results.flatMap((result, i) => {
    const button = (what: string, save: (result: Result) => void) =>
      element("button", { click: () => save(result) }, `Download ${models[i]}'s ${what}`);
    return [button("labels", labels), ...(map ? [button(map.name, map.save)] : [])];
  });
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

/** The name of a file to download. */
export function fileName(...parts: string[]): string {
  const names = parts.map((part) => part.replace(/\.safetensors$/, "").replace(/[^\w.-]+/g, "_"));
  return `${names.join("_")}.nii.gz`;
}
