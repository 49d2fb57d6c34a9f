import type { OpCase } from "../gradcheck.ts";

export const losses: OpCase[] = [];
