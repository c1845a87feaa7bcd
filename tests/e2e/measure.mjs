// Prints the figures of the form that are promised: bytes and requests of the first view, bytes and seconds of a
// registration with a photo of twelve megapixels on slow lines, and how long the photo takes on a slow phone.
//
//   PADRON_PROGRAM=target/debug/padron NODE_READERS=… node tests/e2e/measure.mjs
//
// Nothing here is asserted: seconds are the machine's.

import fs from "node:fs";
import path from "node:path";

import { journey } from "./harness.mjs";
import { fillIn, toReceipt, toReview } from "./people.mjs";
import { file, twelveMegapixels } from "./photos.mjs";

const seconds = (since) => ((performance.now() - since) / 1000).toFixed(1);
const SLOW_3G = { rate: 50_000, latency: 200 };
const EDGE = { rate: 12_500, latency: 300 };

journey("first view", {}, async ({ page, line }) => {
  Object.assign(line, SLOW_3G);
  await page.goto(line.url);
  await page.waitForLoadState("networkidle");
  const painted = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  console.log(`first view: ${line.received} bytes with heads in ${line.requests.length} requests (${line.requests.join(", ")}), ` +
    `first paint ${(painted / 1000).toFixed(2)} s on slow 3G`);
  line.reset();
  await page.focus("#name");
  await page.waitForSelector("#city[role=combobox]");
  await page.waitForLoadState("networkidle");
  console.log(`on the first touch: ${line.received} bytes in ${line.requests.length} requests`);
});

for (const [name, speed] of [["slow 3G, 50,000 B/s, 400 ms", SLOW_3G], ["2G, 12,500 B/s, 600 ms", EDGE]]) {
  journey(name, {}, async ({ page, context, line }) => {
    const large = await twelveMegapixels(context);
    await page.goto(line.url);
    await fillIn(page, { name: `Medida ${speed.rate}`, photo: file("IMG_0001.jpg", large) });
    await toReview(page);
    line.reset();
    Object.assign(line, speed);
    const begun = performance.now();
    await toReceipt(page);
    console.log(`${name}: a photo of ${large.length} bytes, ${line.sent} bytes sent, ${seconds(begun)} s from Send to the receipt`);
  });
}

// Chromium slows the page's own thread and never a worker's: so the page does the work here, as where there is no worker.
journey("a phone six times slower", {}, async ({ page, context, server, line }) => {
  // From a disk, as on a phone: bytes that Playwright hands over are unpacked by the slowed page.
  const large = path.join(server.folder, "IMG_0001.jpg");
  fs.writeFileSync(large, await twelveMegapixels(context));
  await page.addInitScript(() => delete globalThis.Worker);
  await page.goto(line.url);
  await page.focus("#name");
  await page.waitForSelector("#city[role=combobox]");
  const slow = await context.newCDPSession(page);
  await slow.send("Emulation.setCPUThrottlingRate", { rate: 6 });
  const begun = performance.now();
  await page.setInputFiles("#photo", large);
  await page.waitForSelector(".shown canvas");
  console.log(`shrinking with the CPU six times slower: ${seconds(begun)} s from the choice to the preview`);
});

