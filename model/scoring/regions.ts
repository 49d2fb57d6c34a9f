// The regions that brain tumour segmentation is scored on. They overlap: each is a union of the network's
// exclusive classes (0 background, 1 enhancing tumour, 2 necrotic or non-enhancing core, 3 oedema).

/** Three numbers along [D, H, W]: a size in voxels, or a spacing in mm. */
export type { Vec3 } from "../../engine/index.ts";

/** The name of a region: whole tumour, tumour core, enhancing tumour. */
export type Region = "WT" | "TC" | "ET";

/** All regions, in the order of tables. */
export const REGION_NAMES: readonly Region[] = ["WT", "TC", "ET"];

/** The network classes that make up each region (BraTS: Menze et al. 2015). */
export const REGIONS: Readonly<Record<Region, readonly number[]>> = { WT: [1, 2, 3], TC: [1, 2], ET: [1] };
