// Pictures of a network that classifies: a slice of a test case with the windows of the highest probability.

import { join } from "node:path";
import { MODALITIES, MODALITY_TITLES } from "../../data/datasets/datasets.ts";
import type { Place } from "../../data/preparation/place.ts";
import { REGION_NAMES, type Vec3 } from "../../model/scoring/regions.ts";
import { networkModalities, stageName, stageTitle, type TrainConfig } from "../../trainer/settings/config.ts";
import { casesOf, openRunData } from "../files/cases.ts";
import type { StagePresence } from "../prediction/presenceFiles.ts";
import type { ReportSlice } from "./reportSlices.ts";
import { backdrop, openCase } from "./runSlices.ts";

/** For each of the first `count` cases the slice in the middle of ET's window, with the windows' outlines. */
export async function readWindows(
  config: TrainConfig,
  { cases }: StagePresence,
  count: number,
): Promise<ReportSlice[]> {
  const data = await openRunData(config, join(config.out, stageName(config)));
  const shown: ReportSlice[] = [];
  for (const files of casesOf(data.dataset, data.split.test.slice(0, count))) {
    const found = cases.find((one) => one.case === files.id);
    if (!found) continue;
    const { id, size, label, scan } = await openCase(files, data);
    const there = MODALITIES.filter((modality) => files.images[modality]);
    const seen = backdrop(networkModalities(config).filter((modality) => there.includes(modality)));
    const grey = await scan(seen);
    const windows = REGION_NAMES.map((region) => found[region].window);
    const index = middleOf(windows.at(-1)!, size);
    const outlines = outlinesAt(windows, size, index);
    shown.push({
      case: id,
      about: `${stageTitle(config)}: the window where ET is most probable, and those of WT and TC that reach this slice`,
      images: [
        { title: `windows on ${MODALITY_TITLES[seen]}`, size, grey, outlines },
        { title: "label", size, grey, labels: label },
      ],
      plane: "axial",
      index,
    });
  }
  return shown;
}

function middleOf({ first, size: sides }: Place, [depth]: Vec3): number {
  return Math.min(depth - 1, Math.max(0, first[2] + (sides[2] >> 1)));
}

/**
 * A map [D,H,W] of the windows' edges in one slice: 1 for the first, and so on. Each lies within the one
 * before it by one voxel, so that equal windows show all.
 */
function outlinesAt(windows: readonly Place[], [D, H, W]: Vec3, index: number): Uint8Array {
  const map = new Uint8Array(D * H * W);
  for (const [i, { first, size }] of windows.entries()) {
    if (index < first[2] || index >= first[2] + size[2]) continue;
    const [left, top] = [first[0] + i, first[1] + i];
    const [right, bottom] = [first[0] + size[0] - 1 - i, first[1] + size[1] - 1 - i];
    for (let y = Math.max(0, top); y <= Math.min(H - 1, bottom); y++)
      for (let x = Math.max(0, left); x <= Math.min(W - 1, right); x++)
        if (x === left || x === right || y === top || y === bottom) map[(index * H + y) * W + x] = i + 1;
  }
  return map;
}
