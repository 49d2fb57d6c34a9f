// node cli/phantom.js --out DIR --cases N --size 64 --seed S: makes a data set of seeded phantoms in BraTS
// layout, to try everything without patients' scans.

import { Command, InvalidArgumentError } from "commander";
import type { Vec3 } from "../data/nifti/geometry.ts";
import { examples, isMain, runCommand } from "./terminal/command.ts";
import { makePhantom, type PhantomOptions } from "./files/phantomFolder.ts";

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
    .option("--cases <n>", "number of cases", integer("1 to 9999", 1, 9999), 20)
    .option("--size <voxels>", "edge of a cube, or D,H,W; 16 to 512 each", parseSize, 64)
    .option(
      "--seed <n>",
      "seed of the phantoms: the same seed gives the same voxels",
      integer("0 to 4294967295", 0, 2 ** 32 - 1),
      1,
    )
    .option(
      "--version <n>",
      "of the phantom: 1 is easy, with exact labels; 2 is as hard as real scans, with labels by raters",
      integer("1 to 2", 1, 2),
      2,
    )
    .option("--no-raters", "with version 2: label every case by the raters' consensus, not only test cases")
    .option("--overwrite", "replace a phantom of other parameters");
  process.exitCode = await runCommand<PhantomOptions>(program, (options) =>
    makePhantom({ ...options, report: (line) => console.log(line) }),
  );
}

function integer(range: string, low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= low && value <= high) return value;
    throw new InvalidArgumentError(`Expected an integer from ${range}.`);
  };
}

function parseSize(text: string): number | Vec3 {
  const lengths = text.split(",").map(integer("16 to 512, or three as D,H,W", 16, 512));
  if (lengths.length === 1) return lengths[0]!;
  if (lengths.length === 3) return [lengths[0]!, lengths[1]!, lengths[2]!];
  throw new InvalidArgumentError("Expected one integer, or three as D,H,W.");
}
