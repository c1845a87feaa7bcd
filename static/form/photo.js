// From the file that was chosen to the photo that is sent: shrunk where the browser can decode it, as it came where it
// cannot, refused where the server would refuse it.

import { shrink } from "./shrink.js";

/** Bytes that the server takes. */
const LARGEST = 10 * 1024 * 1024;
/** Bytes that a phone's memory survives decoding. */
const LARGEST_DECODED = 60 * 1024 * 1024;
/** Pixels of the longer side below which the server refuses, and below which a card is hard to read. */
const SMALLEST = 320;
const SMALL = 900;
/** Below it, on average, a photo is dark; white is 255. */
const DARK = 45;
/** Milliseconds after which a worker is given up. */
const PATIENCE = 30_000;

/**
 * @typedef {object} Photo
 * @property {string} [fault] the name of the sentence that says why it cannot be sent
 * @property {Blob} [blob] what is sent
 * @property {ImageBitmap} [preview] absent where the browser cannot decode it
 * @property {string[]} [warnings] names of sentences
 */

/** @param {File} file @returns {Promise<Photo>} */
export async function prepare(file) {
  if (file.size === 0) return { fault: "error_photo_empty" };
  const shrunk = file.size <= LARGEST_DECODED ? await shrinkSomewhere(file).catch(() => undefined) : undefined;
  if (shrunk) {
    const long = Math.max(shrunk.width, shrunk.height);
    if (long < SMALLEST) return { fault: "error_photo_too_few_pixels" };
    const warnings = [];
    if (long < SMALL) warnings.push("script_photo_small");
    if (shrunk.light < DARK) warnings.push("script_photo_dark");
    return { blob: shrunk.blob, preview: shrunk.preview, warnings };
  }
  const kind = kindOf(new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  if (kind === "heic") return { fault: "error_photo_heic" };
  if (!kind) return { fault: "error_photo_unsupported" };
  if (file.size > LARGEST) return { fault: "error_photo_too_large" };
  // The server knows formats that a browser does not.
  return { blob: file, warnings: [] };
}

/** What a file is by its first bytes. @param {Uint8Array} bytes */
function kindOf(bytes) {
  const text = String.fromCharCode(...bytes);
  if (text.startsWith("\xff\xd8\xff")) return "jpeg";
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "webp";
  if (text.slice(4, 8) === "ftyp" && /^(hei[cmsx]|hev[cmsx]|mif1|msf1)$/.test(text.slice(8, 12))) return "heic";
  return undefined;
}

/** In a worker, so that the page stays usable; in the page where there is none. @param {File} file */
async function shrinkSomewhere(file) {
  if (typeof Worker !== "function" || typeof OffscreenCanvas !== "function") return shrink(file);
  const worker = new Worker(new URL("./shrink-worker.js", import.meta.url), { type: "module" });
  try {
    /** @type {{ shrunk?: import("./shrink.js").Shrunk, worker?: "failed" }} */
    const answer = await new Promise((done) => {
      worker.onmessage = ({ data }) => done(data);
      // A browser without modules in workers says so here.
      worker.onerror = () => done({ worker: "failed" });
      setTimeout(() => done({}), PATIENCE);
      worker.postMessage(file);
    });
    return answer.worker === "failed" ? await shrink(file) : answer.shrunk;
  } finally {
    worker.terminate();
  }
}
