// Asks before a training that is kept is gone for good.

import { byId } from "../ui/dom.ts";

/** Lets the two buttons answer. */
export function startDiscard(): void {
  const dialog = byId<HTMLDialogElement>("discard");
  byId("discard-yes").addEventListener("click", () => dialog.close("yes"));
  byId("discard-no").addEventListener("click", () => dialog.close("no"));
}

/** Asks whether to delete it; Escape means no. */
export async function mayDiscard(about: string): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>("discard");
  byId("discard-text").textContent = about;
  dialog.returnValue = "";
  const closed = new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  dialog.showModal();
  await closed;
  return dialog.returnValue === "yes";
}
