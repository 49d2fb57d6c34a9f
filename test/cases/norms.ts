import type { OpCase } from "../gradcheck.ts";

export const norms: OpCase[] = [];
