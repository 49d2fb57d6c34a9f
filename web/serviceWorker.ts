// Caches the page's files, so that it opens without a network. A new version fetches all files beside the old
// ones, and takes over when no tab shows the old version any more.

declare const __VERSION__: string; // vite.config.ts sets both
declare const __FILES__: string[];

/** The parts of a service worker's events that TypeScript's DOM library lacks. */
type Waiting = Event & { waitUntil(promise: Promise<unknown>): void };
type Fetching = Event & { request: Request; respondWith(response: Promise<Response>): void };

const PREFIX = `protokd ${new URL("./", location.href).pathname} `; // other pages here have caches too
const CACHE = PREFIX + __VERSION__;

addEventListener("install", (event) => {
  const keep = async () => (await caches.open(CACHE)).addAll(__FILES__);
  (event as Waiting).waitUntil(keep());
});

addEventListener("activate", (event) => {
  const clear = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
  };
  (event as Waiting).waitUntil(clear());
});

addEventListener("fetch", (event) => {
  const { request, respondWith } = event as Fetching;
  if (request.method !== "GET") return;
  const answer = async () => {
    const kept = await (await caches.open(CACHE)).match(request, { ignoreSearch: true });
    return kept ?? fetch(request);
  };
  respondWith.call(event, answer());
});
