// The page: starts its worker and its tabs, and shows the GPU.

import { attempt, showError } from "./ui/alerts.ts";
import { byId } from "./ui/dom.ts";
import { startEngine, unsupported } from "./worker/engine.ts";
import { startSegment } from "./segmentPage.ts";
import { startTrain } from "./trainPage.ts";
import { bytesText } from "../engine/gpu/errors.ts";

function startTabs(): void {
  const tabs = ["segment", "train"].map((name) => byId(`tab-${name}`));
  const select = (tab: HTMLElement) => {
    for (const other of tabs) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      byId(other.getAttribute("aria-controls")!).hidden = !chosen;
    }
    history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`);
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", ({ key }) => {
      if (key !== "ArrowLeft" && key !== "ArrowRight") return;
      const next = tabs[(i + 1) % tabs.length]!;
      select(next);
      next.focus();
    });
  });
  const wanted = tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash);
  if (wanted) select(wanted);
}

/** Registers the service worker, so that the page opens without a network. The page works without it too. */
function keepOffline(): void {
  if (import.meta.env.DEV || !("serviceWorker" in navigator)) return;
  navigator.serviceWorker.register("./serviceWorker.js").catch((error: unknown) => {
    console.info("the page will not open without a network:", error);
  });
}

async function start(): Promise<void> {
  startTabs();
  const engine = await startEngine();
  const gpu = await engine.gpu();
  byId("gpu").textContent = gpu.found ? `${gpu.name}; tensors to ${bytesText(gpu.largestBytes)}` : "No GPU";
  if (!gpu.found) showError(unsupported(gpu.why));
  const segment = await startSegment(engine, { usable: gpu.found });
  await startTrain(engine, { usable: gpu.found, trained: () => segment.refreshModels() });
  document.documentElement.dataset["ready"] = "true";
  keepOffline();
}

void attempt(start);
