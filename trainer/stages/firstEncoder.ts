// Checks whether a stage's network can begin with an encoder that was trained before.

import { subsetName } from "../../data/datasets/subsets.ts";
import type { Input } from "../../data/preparation/input.ts";
import type { StoredModel } from "../../model/files/card.ts";
import { describeVnet } from "../../model/files/published.ts";
import type { Contrasts } from "../../model/networks/anyContrasts.ts";
import type { VnetConfig } from "../../model/networks/layers.ts";
import { networkConfig, networkContrasts, type TrainConfig } from "../settings/config.ts";

/** Calls `refuse` with the reason where an encoder does not fit the network of a stage. */
export function checkEncoder(
  { card, network }: Pick<StoredModel<Input>, "card" | "network">,
  config: TrainConfig,
  refuse: (why: string) => never,
): void {
  const seen = networkContrasts(config);
  const names = ({ modalities, any }: Contrasts) => (any ? "any of " : "") + modalities.join(", ");
  if (card && names(card) !== names(seen))
    refuse(
      `saw ${names(card)}, and this network sees ${names(seen)}: pretrain with ` +
        `--stage pretrain --modality ${subsetName(seen.modalities)}, or train one that sees ${names(card)}`,
    );
  const wanted = networkConfig(config);
  const remedies = sizeRemedies(network, wanted);
  if (remedies.length)
    refuse(
      `expected the encoder of ${describeVnet(wanted)}, got that of ${describeVnet(network)}: ` +
        remedies.join(", "),
    );
  if (card && card.background !== config.background)
    refuse(`was trained with --background ${card.background}: give it here too`);
}

/** Returns a remedy for each size in which a network differs from the wanted one. */
export function sizeRemedies(network: VnetConfig, wanted: VnetConfig): string[] {
  const differing = (Object.keys(OPTIONS) as (keyof typeof OPTIONS)[]).filter(
    (key) => network[key] !== wanted[key],
  );
  return differing.map((key) => OPTIONS[key].replace("VALUE", String(network[key])));
}

/** The flag for each part of a network. */
const OPTIONS = {
  modalities: "give as many contrasts with --modality (a student's) or --teacher-modality",
  filters: "use --filters VALUE",
  levels: "use --levels VALUE",
  norm: "use --norm VALUE",
} as const satisfies Partial<Record<keyof VnetConfig, string>>;
