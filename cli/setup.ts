// `npm run setup`, and the first step of `npm start` and `npm test`: makes sure that there is an adapter. If
// there is one, it prints its name. If not, it announces and installs software Vulkan if it may (by apt, as
// root, or with --sudo by passwordless sudo) and looks again in a new process; otherwise, and where
// PROTOKD_INSTALL is "never", it prints the command that installs it, and exits with 4.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { examples, runCommand } from "./terminal/command.ts";
import { complain, print } from "./terminal/console.ts";
import {
  chosenDriver,
  type Installation,
  installation,
  installationText,
  mayInstall,
  remedy,
  thisSystem,
} from "./device/vulkan.ts";

const lockSeconds = 300; // another apt may be at work: unattended upgrades after boot
const commandSeconds = 900;

interface Flags {
  install: boolean;
  sudo?: boolean;
}

/** Prints the adapter's name and returns the exit code 0, or null if no adapter was found. */
async function adapter(): Promise<number | null> {
  const { describe, gpu } = await import("./device/gpu.ts");
  const found = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!found) return null;
  print(`GPU adapter: ${describe(found.info)}`);
  return 0;
}

async function install(flags: Flags): Promise<number> {
  const bySudo = flags.sudo === true && process.platform === "linux" && process.getuid?.() !== 0;
  const system = thisSystem(bySudo && spawnSync("sudo", ["-n", "true"]).status === 0);
  const steps = mayInstall(flags) && chosenDriver() === undefined ? installation(system) : null;
  if (!steps) {
    const { noAdapter } = await import("./device/gpu.ts");
    complain(noAdapter());
    return 4;
  }
  print(`no GPU adapter found: ${installationText(steps)} ...`);
  const error = runInstallation(steps);
  if (error !== null) {
    complain(`${error}\nthe installation failed (apt's messages above); by hand: ${remedy(system)}`);
    return 4;
  }
  const { status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--no-install"], {
    stdio: "inherit",
  });
  return status ?? 4;
}

/** Installs the packages; returns apt's messages if that fails, else null. */
function runInstallation({ packages, release, source, sudo }: Installation): string | null {
  const run = (command: string, args: string[], input = ""): string | null => {
    const [file, list] = sudo
      ? ["sudo", ["-n", "--preserve-env=DEBIAN_FRONTEND", command, ...args]]
      : [command, args];
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const result = spawnSync(file!, list, { input, env, encoding: "utf8", timeout: 1000 * commandSeconds });
    if (result.status === 0) return null;
    return `${[command, ...args].join(" ")}:\n${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}`.trim();
  };
  const options = [
    "-o",
    `DPkg::Lock::Timeout=${lockSeconds}`,
    "-o",
    "Acquire::Retries=3",
    "-o",
    "Acquire::http::Timeout=30",
  ];

  const strict = ["-o", "APT::Update::Error-Mode=any"]; // otherwise update hides failed downloads

  if (source) {
    const failure = sudo ? run("tee", [source.path], source.text) : write(source);
    if (failure !== null) return failure;
  }
  // A source that has nothing to do with Mesa may be broken: only a failing installation counts.
  const updated = waitingForLock(() => run("apt-get", [...options, ...strict, "update"]));
  const target = release ? ["-t", release] : [];
  const install = ["install", "-y", "--no-install-recommends", ...target, ...packages];
  const installed = waitingForLock(() => run("apt-get", [...options, ...install]));
  return installed === null ? null : [updated, installed].filter((text) => text !== null).join("\n");
}

/** Retries while another apt holds the lock of its lists; the timeout above covers only dpkg's lock. */
function waitingForLock(run: () => string | null): string | null {
  const end = Date.now() + 1000 * lockSeconds;
  for (;;) {
    const failure = run();
    if (failure === null || !/could not get lock|unable to lock/i.test(failure) || Date.now() > end)
      return failure;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
  }
}

function write({ path, text }: { path: string; text: string }): string | null {
  try {
    writeFileSync(path, text, { flag: "wx" });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const program = new Command("setup")
  .description("Looks for a GPU adapter; without one, installs software Vulkan where it can.")
  .addHelpText(
    "after",
    examples("node cli/setup.js", "node cli/setup.js --sudo", "node cli/setup.js --no-install"),
  )
  .option(
    "--no-install",
    "install nothing: only print the adapter, or what is missing; PROTOKD_INSTALL=never does the same, for npm start and npm test too",
  )
  .option("--sudo", "install with passwordless sudo where this is not root");
const code = await runCommand<Flags>(program, async (flags) => {
  process.exitCode = (await adapter()) ?? (await install(flags));
});
if (code !== 0) process.exitCode = code;
