// Builds the page from web/ with the engine, the shaders, the model and the data modules. Paths are relative,
// so that web/dist works in any folder of any server; a service worker caches it for use without a network.

import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const WORKER = "serviceWorker.js";

/** Tells the service worker what has been built, in place of the names it has for that. */
function offline(): Plugin {
  return {
    name: "offline",
    apply: "build",
    enforce: "post",
    generateBundle(_options, bundle) {
      const files = Object.keys(bundle).filter((name) => name !== WORKER);
      const hash = createHash("sha256");
      for (const name of files.sort()) {
        const file = bundle[name]!;
        hash.update(name).update(file.type === "asset" ? file.source : file.code);
      }
      const worker = bundle[WORKER];
      if (worker?.type !== "chunk")
        throw new Error(`vite.config.ts: expected ${WORKER} among what was built`);
      worker.code = worker.code
        .replace("__VERSION__", JSON.stringify(hash.digest("hex").slice(0, 16)))
        .replace("__FILES__", JSON.stringify(["./", ...files]));
    },
  };
}

export default defineConfig({
  root: "web",
  base: "./",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "esnext", // modules await shaders at their top level
    modulePreload: { polyfill: false },
    // Shaders go into the module that runs them: forty files fewer to ask for.
    assetsInlineLimit: (path) => path.endsWith(".wgsl"),
    chunkSizeWarningLimit: 4000,
    rollupOptions: {
      input: { main: "web/index.html", bench: "web/bench.html", serviceWorker: "web/serviceWorker.ts" },
      output: {
        entryFileNames: ({ name }) => (name === "serviceWorker" ? WORKER : "assets/[name]-[hash].js"),
      },
    },
  },
  resolve: { alias: { zarrita: fileURLToPath(new URL("web/segment/noZarr.ts", import.meta.url)) } },
  worker: { format: "es" },
  server: { fs: { allow: [".."] } },
  plugins: [offline()],
});
