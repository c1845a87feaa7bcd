// A citizen in Firefox: the form with its scripts, Back, reload, and a server that is away.

import assert from "node:assert/strict";

import { back, journeyInFirefox, until } from "../harness.mjs";
import { CARD } from "../photos.mjs";

const SEND = "section[aria-labelledby=review-title] > .actions > button:not(.second)";

async function toReview(page, name) {
  await page.type("#name", name);
  await page.type("#city", "medelin");
  await (await page.$("#photo")).uploadFile(CARD);
  await page.waitForSelector(".shown canvas", { visible: true });
  await page.click("#consent");
  await page.click("#registration button[type=submit]");
  await page.waitForSelector("#review-title", { visible: true });
}

async function receipt(page) {
  await page.waitForSelector(".receipt .reference");
  return page.$eval(".reference", (found) => found.textContent.trim());
}

for (const [cached, preferences] of [["with", {}], ["without", { "browser.sessionhistory.max_total_viewers": 0 }]]) {
  journeyInFirefox(`Back after the receipt tells of it, ${cached} the back-forward cache`, { preferences }, async ({ page, server, line }) => {
    const name = `Zorro ${cached}`;
    await page.goto(line.url);
    await toReview(page, name);
    assert.match(await page.$eval(".answers", (found) => found.textContent), /Medellín, Antioquia/);
    await page.click(SEND);
    const reference = await receipt(page);
    await back(page, /:\d+\/(\?|$)/);
    await page.waitForSelector("#sent-title", { visible: true });
    assert.equal(await page.$eval("section[aria-labelledby=sent-title] a", (found) => found.textContent), reference);
    assert.equal(line.posts.length, 1);
    assert.deepEqual(await server.people(name), [reference]);
  });
}

journeyInFirefox("a form whose server is away waits on the device and goes when it is back", { expected: [/./] }, async ({ page, server, line }) => {
  await page.goto(line.url);
  await toReview(page, "Zorro Lejos");
  line.away = true;
  await page.click(SEND);
  await page.waitForSelector(".waiting li", { visible: true, timeout: 40_000 });
  assert.match(await page.$eval(".waiting", (found) => found.textContent), /todavía no está registrado/);
  line.away = false;
  await page.click(".waiting li button:not(.second)");
  const reference = await receipt(page);
  assert.deepEqual(await server.people("Zorro Lejos"), [reference]);
  await page.goto(line.url);
  await until("an empty outbox", () => page.evaluate(() => !localStorage.getItem("outbox")));
});
