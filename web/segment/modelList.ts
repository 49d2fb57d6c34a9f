// The list of networks: the user chooses which to use, and the modality of one without metadata.

import { MODALITIES, type Modality, MODALITY_TITLES } from "../../data/datasets/source.ts";
import { choice, element } from "../ui/dom.ts";
import type { ModelInfo } from "../worker/protocol.ts";

const MOST = 2; // networks side by side

/** Returns the titles of contrasts: "T1, T1ce". */
export function titlesOf(modalities: readonly Modality[]): string {
  return modalities.map((modality) => MODALITY_TITLES[modality]).join(", ");
}

export interface ModelListOptions {
  models: readonly ModelInfo[];
  /** Ids of the chosen networks; changed here. */
  chosen: string[];
  changed: () => void;
  /** The user chooses a network's modality. */
  sees: (id: string, modality: Modality) => void;
}

/** Shows the list in `place`. A third network that is ticked replaces the first. */
export function showModels(place: HTMLElement, { models, chosen, changed, sees }: ModelListOptions): void {
  const boxes = models.map(({ id, name, about, modalities, any }) => {
    const box = element("input", {
      type: "checkbox",
      checked: chosen.includes(id),
      change: () => {
        if (box.checked) chosen.push(id);
        else chosen.splice(chosen.indexOf(id), 1);
        while (chosen.length > MOST) chosen.shift();
        showModels(place, { models, chosen, changed, sees });
        changed();
      },
    });
    const seen = titlesOf(modalities);
    const label = element("label", { class: "model" }, box, element("span", {}, element("strong", {}, name)));
    label.lastElementChild!.append(
      element("small", {}, seen ? `${any ? "takes any of" : "sees"} ${seen}` : "Which modality does it see?"),
    );
    label.title = about;
    if (modalities.length) return label;
    const options: [Modality | "", string][] = [["", "choose …"]];
    for (const modality of MODALITIES) options.push([modality, MODALITY_TITLES[modality]]);
    const select = choice(`Modality of ${name}`, options, "", (value) => value !== "" && sees(id, value));
    return element("div", { class: "row" }, label, select);
  });
  const hint = "Choose two to see them side by side.";
  place.replaceChildren(...boxes, ...(models.length > 1 ? [element("p", { class: "hint" }, hint)] : []));
}
