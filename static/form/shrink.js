// Makes a photo small, upright and free of metadata. Runs in a worker, or in the page where the browser cannot.

/** Pixels of the longer side, at most: every word on a card can be read. */
const LONG_SIDE = 1600;
/** Bytes, as long as that leaves it readable. */
const BYTES = 290_000;
const QUALITIES = [0.8, 0.65, 0.5, 0.35];
/** Pixels of the longer side of the picture that is shown for review. */
const PREVIEW = 640;

/**
 * @typedef {object} Shrunk
 * @property {Blob} blob a JPEG
 * @property {number} width of the photo as it was chosen, in pixels, upright
 * @property {number} height
 * @property {number} light 0 is black and 255 white, on average
 * @property {ImageBitmap} preview upright
 */

/** Fails when the browser cannot decode the photo. @param {Blob} photo @returns {Promise<Shrunk>} */
export async function shrink(photo) {
  const whole = await createImageBitmap(photo, { imageOrientation: "from-image" });
  const { width, height } = whole;
  // Half the time of a canvas that scales; browsers that know no sizes here leave it to the canvas.
  const [resizeWidth, resizeHeight] = sides(whole, LONG_SIDE);
  const scaled = await createImageBitmap(whole, { resizeWidth, resizeHeight, resizeQuality: "high" });
  whole.close();
  const small = draw(scaled, LONG_SIDE);
  scaled.close();
  const shown = draw(small, PREVIEW);
  const light = average(draw(shown, 32));
  let blob;
  for (const quality of QUALITIES) {
    blob = await encode(small, quality);
    if (blob.size <= BYTES) break;
  }
  return { blob: /** @type {Blob} */ (blob), width, height, light, preview: await createImageBitmap(shown) };
}

/** @typedef {ImageBitmap | HTMLCanvasElement | OffscreenCanvas} Picture */

/** Width and height where the longer is at most this. @param {Picture} picture @param {number} longSide */
function sides({ width, height }, longSide) {
  const scale = Math.min(1, longSide / Math.max(width, height));
  return [width, height].map((side) => Math.max(1, Math.round(side * scale)));
}

/** @param {Picture} picture @param {number} longSide */
function draw(picture, longSide) {
  const [width, height] = sides(picture, longSide);
  const canvas = typeof OffscreenCanvas === "function" ? new OffscreenCanvas(width, height)
    : Object.assign(document.createElement("canvas"), { width, height });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  // What is transparent would be black in a JPEG.
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, width, height);
  pen.imageSmoothingQuality = "medium";
  pen.drawImage(picture, 0, 0, width, height);
  return canvas;
}

/** @param {HTMLCanvasElement | OffscreenCanvas} canvas @param {number} quality @returns {Promise<Blob>} */
async function encode(canvas, quality) {
  const type = "image/jpeg";
  if ("convertToBlob" in canvas) return canvas.convertToBlob({ type, quality });
  const blob = await new Promise((done) => canvas.toBlob(done, type, quality));
  if (!blob) throw new Error("the canvas cannot be read");
  return blob;
}

/** @param {HTMLCanvasElement | OffscreenCanvas} canvas */
function average(canvas) {
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) sum += 0.3 * data[at] + 0.59 * data[at + 1] + 0.11 * data[at + 2];
  return sum / (data.length / 4);
}
