/** What went wrong on the GPU: `validation` and `internal` are ours to mend, the others the machine's to bear. */
export type GpuErrorKind = "validation" | "out-of-memory" | "internal" | "lost" | "unsupported";

/** An error of the device. It reaches the caller at the next read(), naming the shader's file and line. */
export class GpuError extends Error {
  override readonly name = "GpuError";
  readonly kind: GpuErrorKind;

  constructor(kind: GpuErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** A size in the unit a person would choose: 1.5 GiB, 96 MiB, 512 B. */
export function bytesText(bytes: number): string {
  const unit = Math.max(0, Math.min(4, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  const value = bytes / 1024 ** unit;
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

/** Dawn names a shader module by its label and a place in it apart: together they are a file and line. */
export function located(message: string): string {
  const file = /""([\w.]+\.wgsl)""/.exec(message)?.[1];
  return file
    ? message.replace(/(?<![\w.]):(\d+):(\d+) (error|warning)/g, `shaders/${file}:$1:$2 $3`)
    : message;
}

/** What Dawn's or a browser's error is to us. */
export function kindOf(error: GPUError): GpuErrorKind {
  const name = error.constructor.name;
  return name.includes("OutOfMemory")
    ? "out-of-memory"
    : name.includes("Internal")
      ? "internal"
      : "validation";
}
