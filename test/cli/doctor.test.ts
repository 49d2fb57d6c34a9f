// The choice of a software adapter, and the output of doctor and setup, on this machine and on others.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Report, text, verdict } from "../../cli/doctor.ts";
import { audible } from "../../cli/terminal/quiet.ts";
import {
  installation,
  installationText,
  mayInstall,
  parseSources,
  remedy,
  type System,
} from "../../cli/device/vulkan.ts";

const debian12 = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n';
const system = (changes: Partial<System>): System => ({
  platform: "linux",
  osRelease: debian12,
  root: true,
  sudo: false,
  backports: false,
  mirror: null,
  ...changes,
});

test("Debian 12 takes Mesa from backports, and adds the source only if apt lacks it", () => {
  const fresh = installation(system({}))!;
  assert.is(fresh.release, "bookworm-backports");
  assert.match(fresh.source!.text, /^URIs: http:\/\/deb\.debian\.org\/debian$/m);
  assert.match(fresh.source!.text, /^Signed-By: .*debian-archive-keyring/m);
  assert.match(fresh.source!.path, /^\/etc\/apt\/sources\.list\.d\/[\w-]+\.sources$/);
  const configured = installation(system({ backports: true }))!;
  assert.is(configured.source, null);
  assert.is(configured.release, "bookworm-backports");
});

test("backports come from the mirror that apt uses already", () => {
  const { source } = installation(system({ mirror: "https://mirror.example/debian" }))!;
  assert.match(source!.text, /^URIs: https:\/\/mirror\.example\/debian$/m);
});

test("newer Debian, Ubuntu and their derivatives take their own Mesa", () => {
  for (const osRelease of [
    'ID=debian\nVERSION_ID="13"\n',
    "ID=debian\nVERSION_CODENAME=forky\n",
    'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n',
    'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22"\n',
  ]) {
    const plan = installation(system({ osRelease }))!;
    assert.equal([plan.release, plan.source], [null, null]);
    assert.ok(plan.packages.includes("mesa-vulkan-drivers"));
  }
});

test("without root or passwordless sudo, and on other systems, nothing is installed", () => {
  assert.is(installation(system({ root: false })), null);
  assert.is(installation(system({ root: false, sudo: true }))!.sudo, true);
  assert.is(installation(system({}))!.sudo, false);
  assert.is(installation(system({ osRelease: "ID=fedora\n" })), null);
  assert.is(installation(system({ osRelease: 'ID=debian\nVERSION_ID="11"\n' })), null);
  assert.is(installation(system({ platform: "darwin", osRelease: "" })), null);
});

test("an installation is announced with all that it changes, and PROTOKD_INSTALL=never declines it", () => {
  const said = installationText(installation(system({}))!);
  for (const part of [
    /mesa-vulkan-drivers, libvulkan1 from bookworm-backports/,
    /as root/,
    /adding the apt source \/etc\/apt\/sources\.list\.d\/bookworm-backports\.sources/,
    /PROTOKD_INSTALL=never declines/,
  ])
    assert.match(said, part);
  assert.match(installationText(installation(system({ root: false, sudo: true }))!), /by sudo/);
  assert.not.match(installationText(installation(system({ backports: true }))!), /adding/);
  assert.ok(mayInstall({ install: true }, ""));
  assert.not(mayInstall({ install: true }, "never"));
  assert.not(mayInstall({ install: false }, ""));
  assert.throws(
    () => mayInstall({ install: true }, "no"),
    /PROTOKD_INSTALL: expected never, or nothing, got no/,
  );
});

test("each system gets its own command", () => {
  const expected: [Partial<System>, RegExp][] = [
    [
      {},
      /bookworm-backports main' \| sudo tee[^]*apt-get install -y -t bookworm-backports mesa-vulkan-drivers/,
    ],
    [
      { osRelease: 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n' },
      /apt-get install -y mesa-vulkan-drivers/,
    ],
    [{ osRelease: 'ID=debian\nVERSION_ID="11"\n' }, /too old[^]*chromium/],
    [{ osRelease: 'ID="rocky"\nID_LIKE="rhel centos fedora"\n' }, /dnf install -y mesa-vulkan-drivers/],
    [{ osRelease: "ID=arch\n" }, /pacman -S vulkan-swrast/],
    [{ osRelease: "" }, /libvulkan\.so\.1/],
    [{ platform: "darwin" }, /update macOS/],
    [{ platform: "win32" }, /graphics driver/],
  ];
  for (const [changes, pattern] of expected) assert.match(remedy(system(changes)), pattern);
  assert.not.match(remedy(system({ backports: true })), /tee/);
});

test("apt sources are read in both formats; comments and disabled ones do not count", () => {
  const list = `# deb http://no.example/debian bookworm-backports main
deb [arch=amd64 signed-by=/x.gpg] http://a.example/debian bookworm main contrib
deb-src http://b.example/debian bookworm main`;
  assert.equal(parseSources(list), [{ uri: "http://a.example/debian", suites: ["bookworm"] }]);
  const stanzas = `Types: deb deb-src
# a comment
URIs: http://c.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://d.example/debian
Suites: bookworm-backports
Enabled: no`;
  assert.equal(parseSources(stanzas), [
    { uri: "http://c.example/debian", suites: ["bookworm", "bookworm-updates"] },
  ]);
});

test("only harmless lines of the drivers are hidden", () => {
  const lines = [
    "Warning: maxDynamicUniformBuffersPerPipelineLayout artificially reduced from 1000000 to 16 to fit dynamic offset allocation limit.",
    "error: XDG_RUNTIME_DIR is invalid or not set in the environment.",
    "Warning: device lost",
    "",
    "Error: VK_ERROR_OUT_OF_DEVICE_MEMORY",
  ];
  assert.equal(audible(lines.join("\n")), [lines[2], lines[4]]);
});

test("the verdict differs for a GPU, a software adapter, and one with wrong results", () => {
  assert.match(verdict("NVIDIA H200", false, null), /^ready: NVIDIA H200$/);
  assert.match(verdict("llvmpipe", true, null), /^works, but slowly: software adapter llvmpipe/);
  assert.match(verdict("llvmpipe", true, "1 + 1 came out as 3"), /^broken: .* 1 \+ 1 came out as 3$/);
});

const command = (name: string, args: string[], env: NodeJS.ProcessEnv = {}) =>
  spawnSync(process.execPath, [fileURLToPath(new URL(`../../cli/${name}.js`, import.meta.url)), ...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });

test("doctor finds the adapter here, its numbers are right, and --json agrees with the text", () => {
  const { status, stdout } = command("doctor", ["--json"]);
  const report = JSON.parse(stdout) as Report;
  assert.is(status, 0, report.verdict);
  assert.is(report.fault, null);
  const { adapter, guaranteed } = report.adapter!.limits["maxStorageBufferBindingSize"]!;
  assert.is(guaranteed, 134217728);
  assert.ok(adapter >= guaranteed);
  assert.match(report.verdict, /^(ready|works, but slowly): /);
  const lines = text(report).split("\n");
  assert.is(lines.at(-1), report.verdict);
  assert.ok(lines.some((line) => /^self-check +passed$/.test(line)));
  assert.ok(lines.some((line) => /^tuning +forward \w+.*; (default|measured)$/.test(line)));
});

test("PROTOKD_TOGGLES=fast reaches Dawn, and another word is refused", () => {
  const { status, stdout } = command("doctor", ["--json"], { PROTOKD_TOGGLES: "fast" });
  const report = JSON.parse(stdout) as Report;
  assert.is(status, 0, report.verdict);
  assert.ok(report.toggles.enabled.includes("disable_robustness"));
  const refused = command("doctor", [], { PROTOKD_TOGGLES: "faster" });
  assert.is(refused.status, 2);
  assert.equal(audible(refused.stderr), ["PROTOKD_TOGGLES: expected safe or fast, got faster"]);
});

test("without an adapter doctor and setup print one line and exit with 4", () => {
  if (process.platform !== "linux")
    return console.log("SKIPPED: no adapter: only Linux lets a test hide them");
  const env = { VK_DRIVER_FILES: "/nonexistent.json", VK_ICD_FILENAMES: "" };
  const doctor = command("doctor", [], env);
  assert.is(doctor.status, 4);
  assert.match(doctor.stdout, /\nno GPU adapter: VK_DRIVER_FILES=\/nonexistent\.json has none.*\n$/);
  const setup = command("setup", [], env);
  assert.is(setup.status, 4);
  assert.match(setup.stderr, /no GPU adapter: VK_DRIVER_FILES=/);
});

test.run();
