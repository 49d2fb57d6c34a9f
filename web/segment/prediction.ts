// Predicts a prepared case, for both tabs of the page.

import type { Case } from "../../data/preparation/preprocess.ts";
import type { Device } from "../../engine/index.ts";
import type { NetworkCard } from "../../model/files/card.ts";
import { forward, type Network } from "../../model/networks/network.ts";
import { imageOf, predict } from "../../model/inference/predict.ts";

/** Classes of a prepared case [D,H,W] (cropped), by the windows of the network's card. */
export function predictCase(
  device: Device,
  network: Network,
  prepared: Case,
  { patch, window }: Pick<NetworkCard, "patch" | "window">,
  progress: (done: number, all: number) => void = () => {},
): Promise<Uint8Array> {
  return predict(device, imageOf(prepared), {
    window: patch,
    weighting: window,
    classes: network.config.classes,
    progress,
    network: (x) => forward(network, x, "eval").logits,
  });
}
