// A case of the phantom, of either version.

import type { Modality } from "../datasets/source.ts";
import type { Vec3 } from "../nifti/geometry.ts";

/** Volumes [D,H,W], x fastest; background exactly 0. Label: 0, 1 necrosis, 2 oedema, 4 enhancing. */
export type Drawn = { images: Record<Modality, Int16Array>; label: Uint8Array };

/** One case. The affine maps a voxel (x, y, z) to RAS mm. */
export type PhantomCase = Drawn & { size: Vec3; affine: number[][] };
