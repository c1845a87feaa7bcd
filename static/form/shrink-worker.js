// `shrink` off the main thread: takes a photo, answers with what came of it.

import { shrink } from "./shrink.js";

addEventListener("message", async ({ data }) => {
  try {
    const shrunk = await shrink(data);
    postMessage({ shrunk }, { transfer: [shrunk.preview] });
  } catch {
    postMessage({});
  }
});
