// Sends what waits in the outbox when the network is back, also after the page was closed. It answers no request and
// caches nothing: its scope is below /assets, where no page is. A page registers it when the form is first touched; a
// new version takes its place at once. To be rid of it, ship one that calls registration.unregister().

import { deliver } from "./outbox.js";

const worker = /** @type {any} */ (self);

worker.addEventListener("install", () => worker.skipWaiting());

worker.addEventListener("sync", (/** @type {any} */ event) => {
  if (event.tag !== "outbox") return;
  // A failure makes the browser try again later.
  event.waitUntil(deliver().then((isLeft) => (isLeft ? Promise.reject(new Error("not yet")) : undefined)));
});
