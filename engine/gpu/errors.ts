/** The kind of an error on the GPU: `validation` and `internal` are bugs, the others the machine's limits. */
export type GpuErrorKind = "validation" | "out-of-memory" | "internal" | "lost" | "unsupported";

/** An error of the device. The next read() throws it; its message names the shader's file and line. */
export class GpuError extends Error {
  override readonly name = "GpuError";
  readonly kind: GpuErrorKind;

  constructor(kind: GpuErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** A size as text, in the unit that suits it: 1.5 GiB, 96 MiB, 512 B. */
export function bytesText(bytes: number): string {
  const unit = Math.max(0, Math.min(4, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  const value = bytes / 1024 ** unit;
  const digits = value >= 100 || unit === 0 ? 0 : 1;
  return `${value.toFixed(digits)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

/** Dawn's message with the shader's file and line together: Dawn names the two in different places. */
export function located(message: string): string {
  const file = /""([\w.]+\.wgsl)""/.exec(message)?.[1];
  return file
    ? message.replace(/(?<![\w.]):(\d+):(\d+) (error|warning)/g, `shaders/${file}:$1:$2 $3`)
    : message;
}

/** The kind of an error of Dawn or a browser. */
export function kindOf(error: GPUError): GpuErrorKind {
  const name = error.constructor.name;
  return name.includes("OutOfMemory")
    ? "out-of-memory"
    : name.includes("Internal")
      ? "internal"
      : "validation";
}
