// Photos to send, made here: the one that is stored is small, upright, and was taken nowhere.

import fs from "node:fs";

/** 34 KB, with texts planted in its metadata. */
export const CARD = new URL("../../fixtures/card.jpg", import.meta.url).pathname;

/** As a file that Playwright can choose. */
export const file = (name, buffer, mimeType = "image/jpeg") => ({ name, mimeType, buffer: Buffer.from(buffer) });

let photo;
/**
 * What a phone of twelve megapixels makes of a card that is held upright: a JPEG of 4032 × 3024, about 6 MB, lying on
 * its side (orientation 6), with the place where it was taken. Its top is red when it is upright, and the rest noise.
 */
export async function twelveMegapixels(context) {
  photo ??= draw(context);
  return photo;
}

async function draw(context) {
  const page = await context.newPage();
  const base64 = await page.evaluate(async () => {
    const [width, height] = [4032, 3024];
    const canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext("2d");
    // Grain as of a sensor, over a card with text.
    const grain = new OffscreenCanvas(512, 512);
    const dots = grain.getContext("2d").createImageData(512, 512);
    let seed = 7;
    for (let at = 0; at < dots.data.length; at += 4) {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      const light = 150 + ((seed >> 16) & 63);
      dots.data.set([light, light, light - 10, 255], at);
    }
    grain.getContext("2d").putImageData(dots, 0, 0);
    pen.fillStyle = pen.createPattern(grain, "repeat");
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = "#222";
    pen.font = "60px sans-serif";
    for (let line = 0; line < 30; line++) pen.fillText("REPÚBLICA DE COLOMBIA 1.020.304.050 ".repeat(4), 60, 120 + line * 96);
    // The left side is the top, once it is turned.
    pen.fillStyle = "#c00";
    pen.fillRect(0, 0, 400, height);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.93 });
    const bytes = new Uint8Array(await blob.arrayBuffer());
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return btoa(text);
  });
  await page.close();
  const bytes = Buffer.from(base64, "base64");
  return Buffer.concat([bytes.subarray(0, 2), exif(6), bytes.subarray(2)]);
}

/** An APP1 segment with an orientation and a place. */
function exif(orientation) {
  const entry = (tag, type, count, value) => {
    const bytes = Buffer.alloc(12);
    bytes.writeUInt16BE(tag, 0);
    bytes.writeUInt16BE(type, 2);
    bytes.writeUInt32BE(count, 4);
    if (Buffer.isBuffer(value)) value.copy(bytes, 8);
    else if (type === 3) bytes.writeUInt16BE(value, 8);
    else bytes.writeUInt32BE(value, 8);
    return bytes;
  };
  const directory = (entries) => Buffer.concat([Buffer.from([0, entries.length]), ...entries, Buffer.alloc(4)]);
  const first = 8;
  const place = first + 2 + 2 * 12 + 4;
  const degrees = place + 2 + 4 * 12 + 4;
  const angle = (...parts) => Buffer.concat(parts.map((part) => Buffer.from(new Uint8Array([0, 0, 0, part, 0, 0, 0, 1]))));
  const tiff = Buffer.concat([
    Buffer.from("MM\0*\0\0\0\x08", "latin1"),
    directory([entry(0x112, 3, 1, orientation), entry(0x8825, 4, 1, place)]),
    directory([
      entry(1, 2, 2, Buffer.from("N\0")),
      entry(2, 5, 3, degrees),
      entry(3, 2, 2, Buffer.from("W\0")),
      entry(4, 5, 3, degrees + 24),
    ]),
    angle(4, 35, 56),
    angle(74, 4, 51),
  ]);
  const body = Buffer.concat([Buffer.from("Exif\0\0"), tiff]);
  const head = Buffer.from([0xff, 0xe1, 0, 0]);
  head.writeUInt16BE(body.length + 2, 2);
  return Buffer.concat([head, body]);
}

/** A file of `size` zeros behind these first bytes. */
export const beginning = (bytes, size = 4096) => Buffer.concat([Buffer.from(bytes), Buffer.alloc(size)]);

/** What an iPhone sends when it is asked for the best quality; only its beginning. */
export const HEIC = beginning(Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic", "latin1"));

/** The stored card's bytes. */
export const card = () => fs.readFileSync(CARD);
