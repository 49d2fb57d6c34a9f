// Finds duplicate keys in JSON: JSON.parse() silently takes the last of two equal keys, so that two readers
// can see different content in one file.

/**
 * Returns the first key that an object in a valid JSON text has twice, or null. Throws where objects and
 * lists are nested deeper than `maxDepth`.
 */
export function duplicateKey(text: string, maxDepth: number): string | null {
  const seen: (Set<string> | null)[] = []; // the keys of each open object; null for a list
  const token = /"(?:[^"\\]+|\\.)*"(\s*:)?|[{}[\]]/gs;
  for (const [found, colon] of text.matchAll(token)) {
    if (found === "{" || found === "[") {
      seen.push(found === "{" ? new Set() : null);
      if (seen.length > maxDepth) throw new Error(`nested deeper than ${maxDepth} levels`);
    } else if (found === "}" || found === "]") {
      seen.pop();
    } else if (colon !== undefined) {
      const key = JSON.parse(found.slice(0, found.lastIndexOf('"') + 1)) as string;
      const keys = seen.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return null;
}
