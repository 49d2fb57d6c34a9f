// The elements of the form's fields, and their values.

import { parsePatch } from "../../model/settings/kinds.ts";
import { byId, element } from "../ui/dom.ts";
import type { Field } from "./trainProtocol.ts";

/** A list of choices with its label. */
export function select(
  id: string,
  label: string,
  options: readonly (readonly [value: string, name: string])[],
): HTMLElement {
  const items = options.map(([value, name]) => element("option", { value }, name));
  return element("label", {}, label, element("select", { id }, ...items));
}

/** A field with its label; the help is its tooltip. */
export function fieldElement({
  name,
  label,
  help,
  kind,
  value,
  choices: options = [],
  range,
  optional,
}: Field): HTMLElement {
  if (kind === "choice") {
    const items = options.map((option) =>
      element("option", { value: option, selected: option === value }, option),
    );
    return element("label", {}, label, element("select", { id: name, title: help }, ...items));
  }
  const type = kind === "switch" ? "checkbox" : kind === "number" ? "number" : "text";
  const input = element("input", {
    id: name,
    title: help,
    type,
    required: !optional && (kind === "number" || kind === "patch"),
    value: kind === "switch" ? "on" : textOf(value),
    checked: kind === "switch" && value === true,
    min: range?.min ?? false,
    max: range?.max ?? false,
    step: range?.step ?? false,
  });
  return element("label", {}, label, input);
}

/** A value as text: [32, 32, 32] as one edge. */
export function textOf(value: unknown): string {
  if (!Array.isArray(value)) return value === null || value === undefined ? "" : String(value);
  return value.every((edge) => edge === value[0]) ? String(value[0]) : value.join();
}

/** Puts a value into the field of this name. */
export function setValue(name: string, value: unknown): void {
  const field = byId<HTMLInputElement | HTMLSelectElement>(name);
  if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = value === true;
  else field.value = textOf(value);
}

/** The value in a field; null for an empty text. */
export function valueOf(field: Field): unknown {
  const input = byId<HTMLInputElement>(field.name);
  const refuse = (): never => {
    throw formError(`${field.label}: expected ${field.expected}, got ${input.value || "nothing"}`);
  };
  switch (field.kind) {
    case "choice":
      return input.value;
    case "switch":
      return input.checked;
    case "text":
      return input.value.trim() || null;
    case "patch":
      try {
        return parsePatch(input.value);
      } catch {
        return refuse();
      }
    case "number": {
      if (field.optional && input.value === "" && !input.validity.badInput) return null;
      const { valueAsNumber: value } = input;
      const { min, max, step } = field.range!;
      const fits = value >= min && value <= max && (step === "any" || Number.isInteger(value));
      return fits ? value : refuse();
    }
  }
}

/** An error that the page shows as one of the user's data. */
export function formError(message: string): Error {
  return Object.assign(new Error(message), { name: "DataError" });
}
