// The page in a real browser: built once, served from a sub-folder, opened in the system's Chromium with
// software WebGPU.

import { existsSync, rmSync } from "node:fs";
import { mkdtemp, readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Locator,
  type Page,
} from "playwright-core";
import { build } from "vite";

/** The system's Chromium, or the one that PROTOKD_CHROMIUM names; undefined without one. */
export const chromiumPath = [
  process.env["PROTOKD_CHROMIUM"],
  ...[
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome-stable",
    "/usr/bin/google-chrome",
  ],
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
].find((path) => path !== undefined && existsSync(path));

const SOFTWARE = [
  "--no-sandbox",
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-unsafe-swiftshader",
  "--disable-gpu-process-crash-limit", // tests let it crash, more than once
  "--disable-domain-blocking-for-3d-apis",
];
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

/** A built page on a server of its own. */
export interface Site {
  /** The page's address, in a sub-folder. */
  url: string;
  close(): Promise<void>;
}

let built: Promise<string> | null = null; // one build will do for all files of tests

/** Builds web/ into a folder that goes with this process. */
async function builtPage(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "protokd-web-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const root = join(import.meta.dirname, "../..");
  await build({
    configFile: join(root, "vite.config.ts"),
    root: join(root, "web"),
    logLevel: "error",
    build: { outDir: folder, minify: false, reportCompressedSize: false },
  });
  return folder;
}

/** Builds web/ and serves it. */
export async function serve(): Promise<Site> {
  built ??= builtPage();
  const folder = await built;
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, "http://localhost");
    const path = pathname.replace(/^\/some\/folder\//, "") || "index.html";
    readFile(join(folder, path)).then(
      (bytes) => {
        response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
        response.end(bytes);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${port}/some/folder/`,
    close: () => stopped(server),
  };
}

/** A Chromium with WebGPU in software, or with none at all. */
export function launch(options: { webgpu: boolean } = { webgpu: true }): Promise<Browser> {
  if (!chromiumPath) throw new Error("launch: expected a Chromium, got none");
  const args = options.webgpu ? SOFTWARE : ["--no-sandbox", "--disable-features=WebGPU,WebGPUService"];
  return chromium.launch({ executablePath: chromiumPath, args });
}

/** A page that has started, and what it complained of and asked for meanwhile. */
export interface Opened {
  page: Page;
  /** Errors on the console, and those that nobody caught. */
  errors: string[];
  /** Addresses asked for since the last time this was emptied. */
  requests: string[];
}

/** Opens the page and waits until it can be used. */
export async function open(context: BrowserContext, url: string): Promise<Opened> {
  const page = await context.newPage();
  const errors: string[] = [];
  const requests: string[] = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  context.on("request", (request) => requests.push(request.url()));
  await page.goto(url);
  await page.waitForSelector("html[data-ready=true]", { timeout: 60_000 });
  return { page, errors, requests };
}

/** The page, opened for the tests of a file, and what serves it. */
export interface Visit extends Opened {
  site: Site;
  browser: Browser;
  context: BrowserContext;
  close(): Promise<void>;
}

/** Serves the page, launches the browser and opens the page at "", "#train" or the like. */
export async function visit(hash = "", options: BrowserContextOptions = {}): Promise<Visit> {
  const site = await serve();
  const browser = await launch();
  const context = await browser.newContext(options);
  const close = async () => {
    await browser.close();
    await site.close();
  };
  return { ...(await open(context, site.url + hash)), site, browser, context, close };
}

/**
 * Waits until there is an element whose text matches; fails at once where it is not an alert that is
 * awaited, and one is shown.
 */
export async function shows(page: Page, selector: string, text: RegExp): Promise<void> {
  const met = await page.waitForFunction(
    ({ selector, source, flags }) => {
      const shown = document.querySelector(selector); // perhaps not made yet
      if (shown && new RegExp(source, flags).test(shown.textContent)) return "met";
      const alert = selector === "#alerts" ? null : document.querySelector(".alert");
      return alert?.textContent;
    },
    { selector, source: text.source, flags: text.flags },
    { timeout: 180_000 },
  );
  const answer = (await met.jsonValue())!;
  if (answer !== "met")
    throw new Error(`expected ${selector} to show ${String(text)}, got the alert: ${answer}`);
}

/** The file that a button downloads. */
export async function saved(page: Page, button: Locator): Promise<Uint8Array> {
  const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
  return readFile(await download.path());
}

function stopped(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
