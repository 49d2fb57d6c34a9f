// The studies that --size names. Times are of two cores without a graphics card.

import { classifies, methodOf, METHODS, PLAIN } from "../../model/methods/index.ts";
import { type Entry, type PhantomSet, type Study, CHOSEN } from "./study.ts";

export const SIZES = ["minute", "hour", "methods", "unlabelled", "night"] as const;
export type Size = (typeof SIZES)[number];

/** The weight and temperature of Hinton's distillation: the published setting weighs a fortieth of it. */
const HINTON = { kdUnits: "hinton", kdWeight: 1, temperature: 4 } as const;

/** Loss weights as published, whatever the defaults are. */
const PUBLISHED = { kdUnits: "published", kdWeight: 10, temperature: 10 } as const;

const entry = (name: string, method: string, settings: Entry["settings"]): Entry => ({
  name,
  method,
  settings,
});

const WEIGHED: readonly Entry[] = [
  entry("kd, published", "kd", PUBLISHED),
  entry("kd, Hinton", "kd", HINTON),
  entry("protokd, published", "protokd", { ...PUBLISHED, prototypeWeight: 0.1 }),
  entry("protokd, Hinton", "protokd", { ...HINTON, prototypeWeight: 0.1 }),
];

/** The phantoms of reports; the choice of weights takes those of other seeds. */
const PHANTOM: PhantomSet = { version: 2, seed: 2001, size: 48, train: 16, val: 4, test: 24 };
const CHOICE_SEED = 1001;

const USUAL = {
  sets: [{ phantom: PHANTOM }],
  modalities: ["t1ce"],
  settings: {},
  entries: WEIGHED,
  choose: null,
  zeroEpochs: 2,
};

/** The study of each size. */
export const STUDIES: Readonly<Record<Size, Study>> = {
  minute: {
    ...USUAL,
    name: "minute",
    seeds: [0, 1],
    sets: [{ phantom: { ...PHANTOM, size: 24, train: 4, val: 2, test: 6 } }],
    settings: { epochs: 3, validateEvery: 3, patch: [16, 16, 16], levels: 2, filters: 4 },
    entries: WEIGHED.filter(({ name }) => name === "kd, Hinton"),
    controls: ["shuffled"],
    controlled: ["kd, Hinton"],
    zeroEpochs: 1,
  },
  hour: {
    ...USUAL,
    name: "hour",
    seeds: [0, 1, 2],
    controls: ["shuffled"],
    controlled: ["kd, Hinton", "protokd, Hinton"],
  },
  methods: {
    ...USUAL,
    name: "methods",
    seeds: [0, 1],
    entries: methodEntries(),
    controls: ["shuffled"],
    controlled: methodEntries().map(({ name }) => name),
  },
  unlabelled: {
    ...USUAL,
    name: "unlabelled",
    seeds: [0, 1, 2],
    sets: [{ phantom: { ...PHANTOM, train: 8, unlabelled: 40 } }],
    settings: { epochs: 36 }, // half the cases, but as many steps as in the hour
    entries: [
      entry("kd, Hinton, labelled only", "kd", { ...HINTON, unlabelledWeight: 0 }),
      entry("kd, Hinton, with unlabelled", "kd", HINTON),
      entry("protokd, Hinton, with unlabelled", "protokd", { ...HINTON, prototypeWeight: 0.1 }),
      entry("pseudo, with unlabelled", "pseudo", {}),
    ],
    controls: ["shuffled"],
    controlled: ["kd, Hinton, with unlabelled"],
  },
  night: {
    ...USUAL,
    name: "night",
    seeds: [0, 1, 2, 3, 4],
    modalities: ["t1", "t1ce"],
    entries: WEIGHED.filter(({ name }) => name.endsWith("published")),
    controls: ["shuffled", "twin", "untrained"],
    controlled: [CHOSEN],
    choose: {
      methods: ["kd", "protokd"],
      grid: { kdUnits: ["hinton"], kdWeight: [0.25, 1, 4], temperature: [2, 4] },
      seeds: [0, 1],
      sets: [{ phantom: { ...PHANTOM, seed: CHOICE_SEED } }],
    },
  },
};

/** Every method that segments and needs labelled cases alone, at its defaults. */
function methodEntries(): Entry[] {
  const names = Object.keys(METHODS).filter(
    (name) => name !== PLAIN && !classifies(name) && !methodOf(name).needsUnlabelled,
  );
  return names.map((name) => entry(methodOf(name).name, name, {}));
}
