// Lists by a key.

/** Adds a value to the list of its key. */
export function put<Key, Value>(groups: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = groups.get(key);
  if (list) list.push(value);
  else groups.set(key, [value]);
}
