// The viewer's panes, one per network, and the controls above them.

import { CLASS_NAMES } from "../../data/datasets/labels.ts";
import { type Modality, MODALITY_TITLES } from "../../data/datasets/source.ts";
import { byId, choice, element } from "../ui/dom.ts";
import type { File3d } from "../worker/protocol.ts";
import { type Overlay, type Place, type View, Viewer, VIEWS } from "./viewer.ts";

/** The overlay of the images; a class's number stands for its similarity map. */
export type Layer = "prediction" | "reference" | "none" | `${number}`;

/** The options of the controls, and the current choice. */
export interface Choices {
  cases: readonly string[];
  case: string;
  modalities: readonly Modality[];
  modality: Modality;
  layer: Layer;
  reference: boolean;
  predicted: boolean;
}

export type Chosen = Pick<Choices, "case" | "modality" | "layer">;

const viewers: Viewer[] = [];
let view: View = "planes";
let opacity = 0.6;

/** Shows the controls; calls `change` with the user's choice. */
export function showControls(choices: Choices, change: (chosen: Chosen) => void): void {
  const { cases, modalities, reference, predicted } = choices;
  const set = (part: Partial<Chosen>) => change({ ...choices, ...part });
  const layers: [Layer, string][] = [["none", "nothing"]];
  if (predicted) layers.unshift(["prediction", "segmentation"]);
  if (reference) layers.push(["reference", "label of the data"]);
  if (predicted) CLASS_NAMES.forEach((name, i) => layers.push([`${i}`, `similarity: ${name}`]));
  const named = (text: string, control: HTMLElement) => element("label", {}, `${text} `, control);
  const slider = element("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    value: opacity,
    "aria-label": "Opacity of the overlay",
    input: (event) => {
      opacity = Number((event.target as HTMLInputElement).value);
      for (const viewer of viewers) viewer.setOpacity(opacity);
    },
  });
  const views = Object.entries(VIEWS).map(([key, [name]]) => [key as View, name] as const);
  const images = modalities.map((m) => [m, MODALITY_TITLES[m]] as const);
  const ids = cases.map((id) => [id, id] as const);
  const controls = [
    ...(cases.length > 1
      ? [
          named(
            "Case",
            choice("Case", ids, choices.case, (id) => set({ case: id })),
          ),
        ]
      : []),
    named(
      "Image",
      choice("Image", images, choices.modality, (modality) => set({ modality })),
    ),
    named(
      "Overlay",
      choice("Overlay", layers, choices.layer, (layer) => set({ layer })),
    ),
    named("Opacity", slider),
    named(
      "View",
      choice("View", views, view, (value) => {
        view = value;
        for (const viewer of viewers) viewer.setView(view);
      }),
    ),
  ];
  const place = byId("view-controls");
  place.replaceChildren(...controls);
  place.hidden = false;
}

/**
 * Shows the panes, in place of those before. Calls `again` when the browser has lost their graphics and can
 * draw again.
 */
export async function showPanes(
  panes: readonly { title: string; volume: File3d; overlay: Overlay }[],
  again: () => void,
): Promise<void> {
  if (viewers.length !== panes.length) await makePanes(panes.length, again);
  const captions = byId("panes").querySelectorAll("figcaption");
  for (const [i, { title, volume, overlay }] of panes.entries()) {
    captions[i]!.textContent = title;
    await viewers[i]!.show(volume, overlay);
  }
}

/** Removes the panes and their controls. */
export function clearPanes(): void {
  for (const viewer of viewers.splice(0)) viewer.close();
  byId("panes").replaceChildren(element("p", { class: "empty" }, "No image to show."));
  byId("view-controls").hidden = true;
  byId("location").textContent = "";
}

async function makePanes(number: number, again: () => void): Promise<void> {
  for (const viewer of viewers.splice(0)) viewer.close();
  const place = byId("panes");
  const canvases = Array.from({ length: number }, () =>
    element("canvas", {
      tabindex: 0,
      "aria-label": "Viewer: click or drag to move the crosshair; scroll through slices",
    }),
  );
  const figures = canvases.map((canvas) =>
    element("figure", {}, element("figcaption"), element("div", { class: "canvas" }, canvas)),
  );
  place.replaceChildren(...figures);
  place.classList.toggle("two", number > 1);
  for (const canvas of canvases) {
    const viewer = await Viewer.on(canvas, {
      moved: showPlace,
      lost: () => (byId("location").textContent = "The GPU was lost: the images come back when it does."),
      restored: () => {
        clearPanes();
        again();
      },
    });
    viewer.setView(view);
    viewer.setOpacity(opacity);
    viewers.push(viewer);
  }
  for (const viewer of viewers) viewer.follow(viewers.filter((other) => other !== viewer));
}

function showPlace({ mm, voxel, values }: Place): void {
  const numbers = (list: readonly number[], digits: number) => list.map((n) => n.toFixed(digits)).join(", ");
  const [image, over] = values;
  const parts = [`voxel ${numbers(voxel, 0)}`, `${numbers(mm, 1)} mm`];
  if (image !== undefined) parts.push(`image ${+image.toPrecision(4)}`);
  if (over !== undefined) parts.push(`overlay ${+over.toPrecision(3)}`);
  byId("location").textContent = parts.join("; ");
}
