// Software Vulkan on Linux, which lets a CPU stand in for a missing GPU: which package brings it, at which
// version, and what the machine has already, as pure functions of the system's own files.
//
// Dawn needs Mesa 23 or newer; Debian 12 has 22.3, so there the driver comes from bookworm-backports.
// Chromium comes with a software driver of its own, SwiftShader: it works too, about four times slower.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { UsageError } from "../../model/settings/errors.ts";

/** The facts about a system that decide how to get a driver. */
export interface System {
  readonly platform: NodeJS.Platform;
  /** The text of /etc/os-release; empty without that file. */
  readonly osRelease: string;
  readonly root: boolean;
  /** True if `sudo` works without a password. */
  readonly sudo: boolean;
  /** True if apt already has a source for <codename>-backports. */
  readonly backports: boolean;
  /** The Debian mirror that apt uses, or null: its backports are taken from the same place. */
  readonly mirror: string | null;
}

/** How apt installs a software driver. `source` is a file to add first, or null. */
export interface Installation {
  readonly packages: readonly string[];
  /** `-t` of apt-get: the release to install from, or null for the default. */
  readonly release: string | null;
  readonly source: { readonly path: string; readonly text: string } | null;
  readonly sudo: boolean;
}

const packages = ["mesa-vulkan-drivers", "libvulkan1"];

const defaultMirror = "http://deb.debian.org/debian";

/** The installation that this program can do on a system; null if it cannot: see remedy(). */
export function installation(system: System): Installation | null {
  const kind = distribution(system);
  if ((kind !== "debian" && kind !== "debian 12") || !(system.root || system.sudo)) return null;
  const backports = kind === "debian 12";
  return {
    packages,
    release: backports ? "bookworm-backports" : null,
    source: backports && !system.backports ? backportsSource(system.mirror ?? defaultMirror) : null,
    sudo: !system.root,
  };
}

/** Announces all that an installation changes, and how to decline it. */
export function installationText({ packages: names, release, source, sudo }: Installation): string {
  const from = release === null ? "" : ` from ${release}`;
  const added = source === null ? "" : ` and adding the apt source ${source.path}`;
  return (
    `installing software Vulkan (${names.join(", ")}${from}) with apt, ${sudo ? "by sudo" : "as root"}${added}; ` +
    "PROTOKD_INSTALL=never declines"
  );
}

/**
 * Tells whether this program may install something: not with --no-install, nor where PROTOKD_INSTALL is
 * "never". Throws a UsageError for another value of it.
 */
export function mayInstall(
  { install }: { install: boolean },
  wish = process.env["PROTOKD_INSTALL"],
): boolean {
  if (wish !== undefined && wish !== "" && wish !== "never")
    throw new UsageError(`PROTOKD_INSTALL: expected never, or nothing, got ${wish}`);
  return install && wish !== "never";
}

function backportsSource(mirror: string): { path: string; text: string } {
  const path = "/etc/apt/sources.list.d/bookworm-backports.sources";
  const text = `Types: deb
URIs: ${mirror}
Suites: bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`;
  return { path, text };
}

/** How a user gets an adapter on this system, in one or several lines. */
export function remedy(system: System): string {
  const driver = "or install your GPU's own driver";
  switch (distribution(system)) {
    case "debian 12":
      return `install software Vulkan from bookworm-backports (Debian 12's own Mesa 22.3 is too old), ${driver}:
${system.backports ? "" : `  echo 'deb ${system.mirror ?? defaultMirror} bookworm-backports main' | sudo tee /etc/apt/sources.list.d/backports.list\n`}\
  sudo apt-get update && sudo apt-get install -y -t bookworm-backports ${packages.join(" ")}`;
    case "debian 11":
      return `Debian 11's Mesa is too old: upgrade to Debian 12 or newer, ${driver}, or use Chromium's software Vulkan:
  sudo apt-get update && sudo apt-get install -y libvulkan1 chromium`;
    case "debian":
      return `install software Vulkan, ${driver}:
  sudo apt-get update && sudo apt-get install -y ${packages.join(" ")}`;
    case "fedora":
      return `install software Vulkan, ${driver}:
  sudo dnf install -y mesa-vulkan-drivers vulkan-loader`;
    case "arch":
      return `install software Vulkan, ${driver}:
  sudo pacman -S vulkan-swrast vulkan-icd-loader`;
    case "darwin":
      return "update macOS: WebGPU needs Metal, which virtual machines often lack";
    case "win32":
      return "update the graphics driver: WebGPU needs Direct3D 12";
    case "unknown":
      return `install your GPU's Vulkan driver and the Vulkan loader (libvulkan.so.1), or Mesa's software driver
(lavapipe) at version 23 or newer`;
  }
}

type Distribution = "debian 12" | "debian 11" | "debian" | "fedora" | "arch" | "darwin" | "win32" | "unknown";

function distribution({ platform, osRelease }: System): Distribution {
  if (platform === "darwin" || platform === "win32") return platform;
  if (platform !== "linux") return "unknown";
  const { ID = "", ID_LIKE = "", VERSION_ID = "" } = parseOsRelease(osRelease);
  if (ID === "debian" && VERSION_ID === "12") return "debian 12";
  if (ID === "debian" && VERSION_ID !== "" && Number(VERSION_ID) < 12) return "debian 11";
  const family = [ID, ...ID_LIKE.split(" ")];
  if (family.includes("debian") || family.includes("ubuntu")) return "debian";
  if (family.includes("fedora") || family.includes("rhel")) return "fedora";
  return family.includes("arch") ? "arch" : "unknown";
}

/** The shell-like KEY="value" lines of /etc/os-release. */
export function parseOsRelease(text: string): Record<string, string> {
  const lines = text.matchAll(/^([A-Z_]+)=("?)(.*)\2$/gm);
  return Object.fromEntries(Array.from(lines, ([, key, , value]) => [key!, value!]));
}

/** An apt source: its address and suites. */
export interface Source {
  readonly uri: string;
  readonly suites: readonly string[];
}

/** The enabled binary sources in the text of an apt source list, of the one-line or the deb822 format. */
export function parseSources(text: string): Source[] {
  const lines = text
    .split("\n")
    .filter((line) => !/^\s*#/.test(line))
    .join("\n");
  const oneLine = Array.from(lines.matchAll(/^\s*deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)/gm));
  const stanzas = lines.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, "im").exec(stanza)?.[1]?.trim() ?? "";
    const words = (name: string) => field(name).split(/\s+/).filter(Boolean);
    if (!words("Types").includes("deb") || /^(no|false|0)$/i.test(field("Enabled"))) return [];
    return words("URIs").map((uri) => ({ uri, suites: words("Suites") }));
  });
  return [...oneLine.map(([, uri, suite]) => ({ uri: uri!, suites: [suite!] })), ...stanzas];
}

/** The manifests of SwiftShader's driver on this machine, most likely first. */
export function swiftShaders(): string[] {
  const playwright = `${homedir()}/.cache/ms-playwright`;
  const folders = [
    "/usr/lib/chromium",
    "/usr/lib/chromium-browser",
    "/usr/lib64/chromium-browser",
    "/opt/google/chrome",
    "/opt/google/chrome-beta",
    "/opt/chromium.org/chromium",
    "/opt/microsoft/msedge",
    "/opt/brave.com/brave",
    "/snap/chromium/current/usr/lib/chromium-browser",
    ...list(playwright).map((name) => `${playwright}/${name}/chrome-linux`),
  ];
  return folders.map((folder) => `${folder}/vk_swiftshader_icd.json`).filter((path) => existsSync(path));
}

/** The driver that the environment sets for the Vulkan loader, if any: then no other is tried. */
export function chosenDriver(): string | undefined {
  return process.env["VK_DRIVER_FILES"] || process.env["VK_ICD_FILENAMES"] || undefined;
}

/** The facts about this system; the caller checks `sudo`, since that runs a command. */
export function thisSystem(sudo = false): System {
  const folder = "/etc/apt/sources.list.d";
  const lists = ["/etc/apt/sources.list", ...list(folder).map((name) => `${folder}/${name}`)];
  const sources = lists
    .filter((path) => /\.(list|sources)$/.test(path))
    .flatMap((path) => parseSources(read(path)));
  return {
    platform: process.platform,
    osRelease: read("/etc/os-release"),
    root: process.getuid?.() === 0,
    sudo,
    backports: sources.some(({ suites }) => suites.includes("bookworm-backports")),
    mirror:
      sources.find(({ uri, suites }) => /^https?:/.test(uri) && suites.includes("bookworm"))?.uri ?? null,
  };
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
