// Explains errors to the user of the page: what happened, and what to do about it.

import type { Explained } from "../worker/protocol.ts";

/** The user pressed Cancel or Stop. */
export class CancelledError extends Error {
  override readonly name = "CancelledError";
}

/** Images cannot be drawn. */
export class ViewerError extends Error {
  override readonly name = "ViewerError";
}

/** The browsers that have WebGPU. */
export const WHERE_WEBGPU =
  "Use Chrome or Edge 113 or newer, Firefox 141 or newer (Windows; 145 on Macs), or Safari 26. On Linux, Chrome needs " +
  "chrome://flags/#enable-unsafe-webgpu and #enable-vulkan. The page must come over https:// or from localhost.";

/** The title, detail and remedy to show for an error. */
export function explain(error: unknown): Explained {
  const { name, message, kind } = describe(error);
  switch (name) {
    case "CancelledError":
      return { title: "Stopped", detail: message, remedy: "" };
    case "DataError":
      return { title: "These files cannot be used as they are", detail: forPage(message), remedy: "" };
    case "UsageError":
      return { title: "These settings do not fit together", detail: forPage(message), remedy: "" };
    case "CheckpointError":
      return {
        title: "This checkpoint cannot be used",
        detail: forPage(message),
        remedy: "Choose a .safetensors file that this page or the command line has written.",
      };
    case "DivergedError":
      return {
        title: "The training diverged",
        detail: forPage(message),
        remedy: "Start again with a lower learning rate. Earlier checkpoints are kept.",
      };
    case "CollapseError":
      return {
        title: "The training learns nothing any more",
        detail: forPage(message),
        remedy: "Start again with other settings.",
      };
    case "QuotaExceededError":
      return {
        title: "The browser's storage is full",
        detail: message,
        remedy: "Download the checkpoint, then free space on the disk, or clear this page's stored data.",
      };
    case "ViewerError":
      return {
        title: "The images cannot be shown",
        detail: message,
        remedy:
          "Segmenting and downloading still work. To see the images, reload the page or restart the browser.",
      };
    case "GpuError":
      return ofGpu(kind, message);
    default:
      return {
        title: "Unexpected error",
        detail: `${name}: ${message}`,
        remedy: "Reload the page; if it happens again, report it with this text.",
      };
  }
}

function ofGpu(kind: string, message: string): Explained {
  switch (kind) {
    case "lost":
      return {
        title: "The GPU was lost twice",
        detail: message,
        remedy: "Close other programs and tabs that use the GPU, or update its driver; then try again.",
      };
    case "out-of-memory":
      return {
        title: "Not enough GPU memory",
        detail: message,
        remedy:
          "Use a network with fewer filters, a smaller patch or batch, or close other tabs that use the GPU.",
      };
    case "unsupported":
      return {
        title: "This browser has no usable WebGPU",
        detail: message.replace(WHERE_WEBGPU, "").trim(),
        remedy: WHERE_WEBGPU,
      };
    default:
      return {
        title: "The GPU reported an error",
        detail: message,
        remedy: "Reload the page; if it happens again, report it with this text and the name of your GPU.",
      };
  }
}

/** Name, message and kind of a thrown value. The worker's errors have names such as "GpuError lost". */
function describe(error: unknown): { name: string; message: string; kind: string } {
  if (!(error instanceof Error || error instanceof DOMException)) {
    return { name: "Error", message: String(error), kind: "" };
  }
  const [name = "Error", kind = ""] = error.name.split(" ");
  return { name, message: error.message, kind: "kind" in error ? String(error.kind) : kind };
}

/** Replaces options of the command line by the page's own controls. */
function forPage(message: string): string {
  return message
    .replace(
      /use --labels [\w-]+(?: \([^)]*\))?(?:(?:, | or )--labels [\w-]+(?: \([^)]*\))?)*/g,
      "choose the meaning of the labels above",
    )
    .replace(/use --affine image\b/g, "in training set Affine to image")
    .replace(/(a lower|a higher) --lr\b/g, "$1 learning rate")
    .replace(/--lr\b/g, "the learning rate")
    .replace(/--batch\b/g, "batch")
    .replace(/--desd-norm batch\b/g, "Norm of heads: batch,")
    .replace(/--init-encoder\b/g, "Encoder to begin with:")
    .replace(/use --(filters|levels) (\d+)/g, "set $1 to $2")
    .replace(/pretrain with --stage pretrain --modality ([\w+]+)/g, "pretrain without labels on $1")
    .replace(/--drop-weights\b/g, "Dropped")
    .replace(/--modality any\b/g, "whatever is there")
    .replace(/train a student with --modality ([\w+]+)/g, "choose that the student sees $1");
}
