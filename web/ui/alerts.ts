// What went wrong, at the top of the page, until it is closed or something else is tried.

import { byId, element } from "./dom.ts";
import { explain } from "./explain.ts";

/** Shows an error; whatever was shown before goes. */
export function showError(error: unknown): void {
  const { title, detail, remedy } = explain(error);
  const close = element(
    "button",
    { class: "close", "aria-label": "Close this message", click: clearErrors },
    "×",
  );
  const box = element("div", { class: title === "Stopped" ? "alert quiet" : "alert" });
  box.append(element("strong", {}, title), close, element("p", {}, detail));
  if (remedy) box.append(element("p", { class: "remedy" }, remedy));
  byId("alerts").replaceChildren(box);
  box.scrollIntoView({ block: "nearest" });
}

export function clearErrors(): void {
  byId("alerts").replaceChildren();
}

/** Runs something that the user asked for, and shows what goes wrong with it. */
export async function attempt(work: () => Promise<void> | void): Promise<void> {
  clearErrors();
  try {
    await work();
  } catch (error) {
    showError(error);
  }
}
