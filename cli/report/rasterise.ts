// Converts SVG to PNG without a browser: resvg, compiled to WebAssembly, with its own font.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { initWasm, Resvg } from "@resvg/resvg-wasm";

/** The font for text; an SVG must use this name. */
export const FONT = "Open Sans";

const { resolve } = createRequire(import.meta.url);
let ready: Promise<Uint8Array[]> | null = null;

/** The picture as PNG at `scale` pixels per unit, on white. The first call loads renderer and font. */
export async function rasterise(svg: string, scale = 1): Promise<Uint8Array> {
  const fontBuffers = await (ready ??= load());
  const image = new Resvg(svg, {
    background: "white",
    fitTo: { mode: "zoom", value: scale },
    font: { fontBuffers, defaultFontFamily: FONT },
  });
  try {
    const rendered = image.render();
    try {
      return rendered.asPng();
    } finally {
      rendered.free();
    }
  } finally {
    image.free();
  }
}

async function load(): Promise<Uint8Array[]> {
  await initWasm(await readFile(resolve("@resvg/resvg-wasm/index_bg.wasm")));
  return [await readFile(resolve("@expo-google-fonts/open-sans/400Regular/OpenSans_400Regular.ttf"))];
}
