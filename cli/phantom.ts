// node cli/phantom.js --out DIR --cases N --size 64 --seed S: makes a data set of seeded phantoms in BraTS
// layout, to try everything without patients' scans.

import { Command, InvalidArgumentError } from "commander";
import type { Vec3 } from "../data/nifti/geometry.ts";
import { whole } from "../model/settings/kinds.ts";
import { examples, isMain, runCommand } from "./terminal/command.ts";
import { makePhantom, type PhantomOptions } from "./files/phantomFolder.ts";
import { print } from "./terminal/console.ts";
import { numberOption, parseText } from "./terminal/kindOption.ts";

if (isMain(import.meta.url)) {
  const program = new Command("phantom")
    .description("Makes a data set of seeded phantoms (heads with a tumour) in BraTS layout.")
    .addHelpText(
      "after",
      examples(
        "node cli/phantom.js --out phantom",
        "node cli/phantom.js --out small --cases 5 --size 32 --seed 7",
        "node cli/phantom.js --out easy --version 1",
      ),
    )
    .requiredOption("--out <dir>", "folder to make; if it holds the same phantom already, nothing changes")
    .addOption(numberOption("--cases <n>", "number of cases", whole(1, 9999)).default(20))
    .option("--size <voxels>", "edge of a cube, or D,H,W; 16 to 512 each", parseSize, 64)
    .addOption(
      numberOption(
        "--seed <n>",
        "seed of the phantoms: the same seed gives the same voxels",
        whole(0, 2 ** 32 - 1),
      ).default(1),
    )
    .addOption(
      numberOption(
        "--version <n>",
        "of the phantom: 1 is easy, with exact labels; 2 is as hard as real scans, with labels by raters",
        whole(1, 2),
      ).default(2),
    )
    .option("--no-raters", "with version 2: label every case by the raters' consensus, not only test cases")
    .option("--overwrite", "replace a phantom of other parameters");
  process.exitCode = await runCommand<PhantomOptions>(program, (options) =>
    makePhantom({ ...options, report: print }),
  );
}

function parseSize(text: string): number | Vec3 {
  const lengths = text.split(",").map((part) => parseText(whole(16, 512), part));
  if (lengths.length === 1) return lengths[0]!;
  if (lengths.length === 3) return [lengths[0]!, lengths[1]!, lengths[2]!];
  throw new InvalidArgumentError("expected one integer, or three as D,H,W.");
}
