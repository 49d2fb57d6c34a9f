// Shows an error at the top of the page, until the user closes it or starts something else.

import { byId, element } from "./dom.ts";
import { explain } from "./explain.ts";

/** Shows an error in place of the one before. */
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

/** Shows warnings about data as a list, in place of those before; without warnings, hides the list. */
export function showFindings(list: HTMLElement, lines: readonly string[]): void {
  list.hidden = !lines.length;
  list.replaceChildren(...lines.map((line) => element("li", {}, line)));
}

/** Runs an action of the user, and shows its error. */
export async function attempt(work: () => Promise<void> | void): Promise<void> {
  clearErrors();
  try {
    await work();
  } catch (error) {
    showError(error);
  }
}
