// The link that downloads the kept encoder.

import { byId, element } from "../ui/dom.ts";

/** Tells whether a stage is a pretraining, by its name. */
export function isPretraining(stage: string): boolean {
  return stage.startsWith("pretrain_");
}

/** Shows a button that saves the encoder of a pretraining of this name; nothing without one. */
export function showEncoderLink(name: string | null, save: (name: string) => void): void {
  const button = (of: string) =>
    element("button", { type: "button", click: () => save(of) }, `${of}: its encoder`);
  byId("train-encoder").replaceChildren(...(name === null ? [] : [button(name)]));
}
