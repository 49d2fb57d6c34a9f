// From a case as a published list writes it to its id in the data set. No spelling is guessed: letters and
// numbers are the data set's own.

import { readingsOf } from "./names.ts";

const EXTENSION = /\.(nii(\.gz)?|npy|npz|pkl|h5|hdf5|nrrd|mha)$/i;
/** Endings of published preprocessing (X_vol.npy by RFNet, X_data_f32b0.pkl by mmFormer), and a channel. */
const ENDING = /_(vol|seg|data_f32b0|0000)$/i;
/** The grade, which M2FTrans's lists write before an id of BraTS 2020: HG_BraTS20_Training_001. */
const GRADE = /^[HL]GG?_/;

/**
 * Returns the id among `known` that a list means: the written name, or the last part of a path, with or
 * without the ending of a file of the case ("HGG/Brats18_2013_10_1", "vol/X_vol.npy", "X/X_t1.nii.gz") and
 * the grade before it. Null without such a case.
 */
export function idOf(written: string, known: ReadonlySet<string>): string | null {
  const path = written.normalize("NFC").replaceAll("\\", "/").replace(/\/+$/, "");
  const last = path.slice(path.lastIndexOf("/") + 1);
  const stem = last.replace(EXTENSION, "");
  const file =
    stem === last ? [] : [stem.replace(ENDING, ""), ...readingsOf(`${stem}.nii`).map(({ id }) => id)];
  const names = [path, last, stem, ...file];
  return [...names, ...names.map((name) => name.replace(GRADE, ""))].find((name) => known.has(name)) ?? null;
}
