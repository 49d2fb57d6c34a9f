import type { OpCase } from "../gradcheck.ts";

export const convolutions: OpCase[] = [];
