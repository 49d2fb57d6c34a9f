import { record } from "../autograd/tape.ts";
import { BYTES } from "../gpu/operand.ts";
import { Tensor } from "../autograd/tensor.ts";
import { cast } from "./cast.ts";
import { samples } from "./samples.ts";

/**
 * The samples of all parts as one batch: [N₁,...], [N₂,...], … → [N₁+N₂+…,...]. Throws where sizes differ.
 */
export function stack(parts: readonly Tensor[]): Tensor {
  const [first] = parts;
  if (!first?.shape.length || parts.some(({ shape }) => `${shape.slice(1)}` !== `${first.shape.slice(1)}`)) {
    const got = parts.map(({ shape }) => `[${shape}]`).join(", ") || "nothing";
    throw new Error(`stack: expected parts [N,...] of one size, got ${got}`);
  }
  const { device, precision } = first;
  const other = parts.find((part) => part.precision !== precision);
  if (other)
    throw new Error(`stack: expected parts of one precision, got ${precision} and ${other.precision}`);
  const bytes = (BYTES[precision] * first.size) / first.shape[0]!; // of a sample: copies take whole words
  if (bytes % 4) return cast(stack(parts.map((part) => cast(part, "f32"))), precision);
  const ends = [0]; // of the parts, after a 0
  for (const { shape } of parts) ends.push(ends.at(-1)! + shape[0]!);
  const y = new Tensor(device, [ends.at(-1)!, ...first.shape.slice(1)], precision);
  for (const [i, part] of parts.entries()) {
    device.copy(part.buffer, part.storage.offset, y.buffer, y.storage.offset + bytes * ends[i]!, part.bytes);
  }
  return record(
    y,
    parts.map((part, i) => [part, (dy) => samples(dy, ends[i]!, ends[i + 1]!)]),
  );
}
