// One pane of the viewer: a volume with a segmentation or a map over it. NiiVue draws it.

import { DEFAULT_OPTIONS, NVImage, Niivue, SHOW_RENDER, SLICE_TYPE } from "@niivue/niivue";
import { CLASS_NAMES } from "../../data/datasets/labels.ts";
import { ViewerError } from "../ui/explain.ts";
import type { File3d } from "../worker/protocol.ts";

/** The overlay of a volume. */
export type Overlay = { kind: "classes"; file: File3d } | { kind: "cosines"; file: File3d } | null;

/** Colours of the network's classes; the background is transparent. */
export const CLASS_COLOURS = [
  [0, 0, 0],
  [228, 87, 46],
  [86, 180, 233],
  [88, 179, 104],
] as const;

/** The views of a volume. */
export const VIEWS = {
  planes: ["Three planes and 3D", SLICE_TYPE.MULTIPLANAR],
  axial: ["Axial", SLICE_TYPE.AXIAL],
  coronal: ["Coronal", SLICE_TYPE.CORONAL],
  sagittal: ["Sagittal", SLICE_TYPE.SAGITTAL],
  render: ["3D", SLICE_TYPE.RENDER],
} as const satisfies Record<string, readonly [string, SLICE_TYPE]>;
export type View = keyof typeof VIEWS;

/** The crosshair's position, and the values of volume and overlay there. */
export interface Place {
  mm: readonly number[];
  voxel: readonly number[];
  values: readonly number[];
}

export interface Listeners {
  /** The crosshair was moved. */
  moved: (place: Place) => void;
  /** The pane's graphics context is lost, with the GPU. */
  lost: () => void;
  /** The pane's graphics context is back, empty. */
  restored: () => void;
}

export class Viewer {
  readonly #niivue: Niivue;
  readonly #canvas: HTMLCanvasElement;
  #opacity = 0.6;
  #closed = false;

  private constructor(niivue: Niivue, canvas: HTMLCanvasElement, { lost, restored }: Listeners) {
    this.#niivue = niivue;
    this.#canvas = canvas;
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault(); // so that the browser restores it later
      if (!this.#closed) lost();
    });
    canvas.addEventListener("webglcontextrestored", () => {
      if (!this.#closed) restored();
    });
  }

  /** A pane on a canvas. Throws a ViewerError if the browser has no WebGL 2. */
  static async on(canvas: HTMLCanvasElement, listeners: Listeners): Promise<Viewer> {
    if (!document.createElement("canvas").getContext("webgl2")) {
      throw new ViewerError("The viewer needs WebGL 2, which is not available in this browser now.");
    }
    const niivue = new Niivue({
      ...DEFAULT_OPTIONS,
      backColor: [0.04, 0.06, 0.08, 1],
      crosshairColor: [0.95, 0.75, 0.2, 0.8],
      crosshairWidth: 1,
      crosshairWidthUnit: "percent",
      dragAndDropEnabled: false,
      isNearestInterpolation: false,
      multiplanarShowRender: SHOW_RENDER.ALWAYS,
      show3Dcrosshair: true,
      loadingText: "",
      logLevel: "error",
    });
    await niivue.attachToCanvas(canvas);
    niivue.setSliceType(SLICE_TYPE.MULTIPLANAR);
    niivue.onLocationChange = (location) => {
      const { mm, vox, values } = location as {
        mm: Float32Array;
        vox: Float32Array;
        values: { value: number }[];
      };
      listeners.moved({ mm: [...mm].slice(0, 3), voxel: [...vox], values: values.map(({ value }) => value) });
    };
    return new Viewer(niivue, canvas, listeners);
  }

  /** Shows a volume and its overlay, in place of those before. */
  async show(volume: File3d, overlay: Overlay): Promise<void> {
    const base = await image(volume, "gray", 1);
    const over =
      overlay && (await image(overlay.file, overlay.kind === "cosines" ? "warm" : "gray", this.#opacity));
    for (const old of [...this.#niivue.volumes].reverse()) this.#niivue.removeVolume(old);
    this.#niivue.addVolume(base);
    if (over && overlay.kind === "classes") {
      const [R, G, B] = [0, 1, 2].map((i) => CLASS_COLOURS.map((colour) => colour[i]!)) as [
        number[],
        number[],
        number[],
      ];
      const A = CLASS_COLOURS.map((_, i) => (i ? 255 : 0));
      over.setColormapLabel({ R, G, B, A, I: [0, 1, 2, 3], labels: [...CLASS_NAMES] });
    }
    if (over && overlay.kind === "cosines") [over.cal_min, over.cal_max] = [0.2, 1];
    if (over) this.#niivue.addVolume(over);
    this.#niivue.updateGLVolume();
  }

  setOpacity(opacity: number): void {
    this.#opacity = opacity;
    if (this.#niivue.volumes.length > 1) this.#niivue.setOpacity(1, opacity);
  }

  setView(view: View): void {
    this.#niivue.setSliceType(VIEWS[view][1]);
  }

  /** Moves the crosshairs of the other panes with this one's. */
  follow(others: readonly Viewer[]): void {
    const all = others.map((other) => other.#niivue);
    this.#niivue.broadcastTo(all, { "2d": true, "3d": true });
  }

  /** Frees the pane's graphics context: a page may have only a few. */
  close(): void {
    this.#closed = true;
    this.#niivue.broadcastTo([]);
    this.#canvas.getContext("webgl2")?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

function image(bytes: File3d, colormap: string, opacity: number): Promise<NVImage> {
  const name = bytes[0] === 0x1f && bytes[1] === 0x8b ? "volume.nii.gz" : "volume.nii";
  return NVImage.loadFromFile({ file: new File([bytes], name), name, colormap, opacity });
}
