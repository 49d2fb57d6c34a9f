import { kd } from "./kd.ts";
import type { Method } from "./method.ts";
import { none } from "./none.ts";
import { protokd } from "./protokd.ts";

export type { Method } from "./method.ts";

/** Every method, by the name the command line knows it by. */
export const METHODS: Readonly<Record<string, Method>> = { none, kd, protokd };
