// The way to the server: once, whatever happens; slow, cut, offline, with the server killed or frozen.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { FAILED_REQUEST, accessible, fits, journey, picture, until } from "../harness.mjs";
import { SEND, fillIn, receipt, register, toReceipt, toReview } from "../people.mjs";
import { CARD, file, twelveMegapixels } from "../photos.mjs";

const BROKEN = { expected: [FAILED_REQUEST] };

/** What the person is told by the review. */
const told = (page) => page.textContent("section[aria-labelledby=review-title] > [role=status]");

for (const backForwardCache of [true, false]) {
  for (const address of ["/", "/?lang=es"]) {
    journey(`Back after the receipt tells of it, ${address}, ${backForwardCache ? "with" : "without"} the back-forward cache`, { backForwardCache }, async ({ page, server, line }) => {
      const name = `Vuelve Atrás ${address.length}${backForwardCache}`;
      await page.goto(`${line.url}${address}`);
      const reference = await register(page, { name });
      await page.goBack();
      await page.waitForSelector("#sent-title");
      assert.equal((await page.textContent("section[aria-labelledby=sent-title] a")).trim(), reference);
      await page.reload();
      await page.waitForSelector("#sent-title");
      await page.goBack().catch(() => {});
      await page.waitForLoadState();
      assert.ok(!(await page.isVisible("#name")), "the form could be sent again");
      assert.equal(line.posts.length, 1);
      assert.deepEqual(await server.people(name), [reference]);
    });
  }
}

journey("another person is registered from the page that tells of the first", {}, async ({ page, server, line }) => {
  await page.goto(line.url);
  await register(page, { name: "Hermana Mayor" });
  await page.goBack();
  await page.click("section[aria-labelledby=sent-title] button");
  await page.waitForSelector("#name:visible");
  assert.equal(await page.inputValue("#name"), "");
  await register(page, { name: "Hermana Menor", city: undefined });
  assert.equal((await server.people("Hermana")).length, 2);
});

journey("a double click sends once", {}, async ({ page, server, line }) => {
  await page.goto(line.url);
  await fillIn(page, { name: "Doble Clic" });
  await toReview(page);
  line.latency = 200;
  await page.dblclick(SEND);
  await receipt(page);
  assert.equal(line.posts.length, 1);
  assert.equal((await server.people("Doble Clic")).length, 1);
});

journey("the same person in two tabs is registered once", {}, async ({ page, context, server, line }) => {
  const other = await context.newPage();
  const references = [];
  for (const tab of [page, other]) {
    await tab.goto(line.url);
    await fillIn(tab, { name: "Dos Pestañas" });
    await toReview(tab);
  }
  for (const tab of [page, other]) {
    await tab.bringToFront();
    references.push(await toReceipt(tab));
  }
  assert.deepEqual(await server.people("Dos Pestañas"), [references[0]]);
  assert.equal(references[0], references[1]);
});

journey("progress is shown and told, and sending can be cancelled", BROKEN, async ({ page, context, server, line }) => {
  await page.goto(line.url);
  const large = await twelveMegapixels(context);
  await fillIn(page, { name: "Con Progreso", photo: file("a.jpg", large) });
  await toReview(page);
  const network = await context.newCDPSession(page);
  const slow = (uploadThroughput) => network.send("Network.emulateNetworkConditions",
    { offline: false, latency: 50, downloadThroughput: -1, uploadThroughput });
  await slow(20_000);
  await page.evaluate(() => {
    globalThis.told = [];
    const status = document.querySelector("section[aria-labelledby=review-title] > [role=status]");
    new MutationObserver(() => globalThis.told.push(status.textContent)).observe(status, { childList: true });
  });
  await page.click(SEND);
  await page.waitForSelector("[role=progressbar]:visible");
  await until("a third", async () => Number(await page.getAttribute("[role=progressbar]", "aria-valuenow")) >= 30);
  await accessible(page, "sending");
  await fits(page);
  await picture(page, "sending");
  assert.ok(await page.evaluate(() => document.activeElement !== document.body), "the focus is lost");
  await page.click(".sending button");
  await until("the end", async () => /Detuvimos/.test(await told(page)));
  assert.deepEqual(await server.people("Con Progreso"), []);
  const steps = await page.evaluate(() => globalThis.told.map((text) => text.match(/(\d+) %/)?.[1]).filter(Boolean).map(Number));
  assert.ok(steps.length >= 3 && steps.every((step, at) => at === 0 || step - steps[at - 1] <= 20), `told ${steps}`);
  await slow(-1);
  await toReceipt(page);
  assert.equal((await server.people("Con Progreso")).length, 1);
});

journey("a connection that is cut half-way is taken up again by itself", BROKEN, async ({ page, context, server, line }) => {
  await page.goto(line.url);
  const large = await twelveMegapixels(context);
  await fillIn(page, { name: "Cortada", photo: file("a.jpg", large) });
  await toReview(page);
  line.reset();
  line.cutAfter = 100_000;
  const reference = await toReceipt(page);
  assert.equal(line.posts.length, 2);
  assert.deepEqual(await server.people("Cortada"), [reference]);
});

journey("an answer that was lost is asked for again", BROKEN, async ({ page, server, line }) => {
  await page.goto(line.url);
  await fillIn(page, { name: "Respuesta Perdida" });
  await toReview(page);
  line.reset();
  // Chromium asks once more by itself.
  line.swallowed = 2;
  const reference = await toReceipt(page);
  assert.equal(line.posts.length, 3);
  assert.deepEqual(await server.people("Respuesta Perdida"), [reference]);
});

journey("offline, the finished form waits on the device and goes when the network is back", BROKEN, async ({ page, context, server, line }) => {
  await page.goto(line.url);
  await fillIn(page, { name: "Sin Red", document: "998877" });
  await toReview(page);
  line.away = true;
  await context.setOffline(true);
  await page.click(SEND);
  await page.waitForSelector(".waiting li");
  assert.match(await page.textContent(".waiting"), /todavía no está registrado/);
  await accessible(page, "waiting");
  await fits(page);
  await picture(page, "waiting");
  const kept = await page.evaluate(async () => {
    const opening = indexedDB.open("padron");
    await new Promise((done) => (opening.onsuccess = done));
    const all = opening.result.transaction("forms").objectStore("forms").getAll();
    await new Promise((done) => (all.onsuccess = done));
    opening.result.close();
    const [{ key, box, ...clear }] = all.result;
    const readable = new TextDecoder("latin1").decode(box) + JSON.stringify(clear) + JSON.stringify({ ...sessionStorage });
    return { extractable: key.extractable, readable, bytes: box.byteLength };
  });
  assert.equal(kept.extractable, false);
  assert.ok(kept.bytes > 10_000);
  for (const secret of ["Sin Red", "998877", "Cali"]) assert.ok(!kept.readable.includes(secret), `${secret} stands in clear`);
  line.away = false;
  await context.setOffline(false);
  const reference = await receipt(page);
  assert.deepEqual(await server.people("Sin Red"), [reference]);
  await page.goto(line.url);
  await until("an empty outbox", () => page.evaluate(() => !localStorage.getItem("outbox")));
  await page.focus("#name");
  await page.waitForSelector("#city[role=combobox]");
  assert.ok(!(await page.isVisible(".waiting")));
});

journey("what waits is sent although its page was closed", BROKEN, async ({ page, context, server, line }) => {
  await page.goto(line.url);
  await fillIn(page, { name: "Página Cerrada" });
  await page.waitForFunction(async () => (await navigator.serviceWorker.getRegistration("/assets/"))?.active);
  await toReview(page);
  line.away = true;
  await context.setOffline(true);
  await page.click(SEND);
  await page.waitForSelector(".waiting li");
  assert.match(await page.textContent(".waiting"), /Puede cerrar esta página/);
  await page.goto("about:blank");
  line.away = false;
  await context.setOffline(false);
  await until("the worker", async () => (await server.people("Página Cerrada")).length === 1);
  await page.goto(line.url);
  await page.waitForSelector(".waiting a");
  assert.deepEqual(await server.people("Página Cerrada"), [(await page.textContent(".waiting a")).trim()]);
  await page.click(".waiting li button");
  await until("an empty list", async () => !(await page.isVisible(".waiting")));
});

journey("what waits can be erased", BROKEN, async ({ page, context, server, line }) => {
  await page.goto(line.url);
  await fillIn(page, { name: "Se Arrepiente" });
  await toReview(page);
  line.away = true;
  await context.setOffline(true);
  await page.click(SEND);
  await page.waitForSelector(".waiting li");
  page.on("dialog", (dialog) => dialog.accept());
  await page.click(".waiting li button.second");
  await page.waitForSelector("#name:visible");
  line.away = false;
  await context.setOffline(false);
  await page.reload();
  await sleep(300);
  assert.deepEqual(await server.people("Se Arrepiente"), []);
});

journey("a server that is killed while it is sent to, and comes back, has it once", BROKEN, async ({ page, context, server, line }) => {
  await page.goto(line.url);
  const large = await twelveMegapixels(context);
  await fillIn(page, { name: "Servidor Muerto", photo: file("a.jpg", large) });
  await toReview(page);
  line.rate = 150_000;
  await page.click(SEND);
  await sleep(500);
  await server.kill();
  line.cut();
  line.rate = 0;
  await server.start();
  const reference = await receipt(page);
  assert.deepEqual(await server.people("Servidor Muerto"), [reference]);
});

journey("a server that stays away is told in its own words, and the form is kept", BROKEN, async ({ page, server, line }) => {
  await page.clock.install();
  await page.goto(line.url);
  await fillIn(page, { name: "Servidor Lejos" });
  await toReview(page);
  await page.route(/\/registrations\?/, (route) => route.fulfill({ status: 503, headers: { "Retry-After": "5" }, json: { type: "unavailable" } }));
  await page.click(SEND);
  for (let attempt = 0; attempt < 3; attempt++) {
    await until("a pause", async () => /no responde/.test(await told(page)));
    await page.clock.runFor(12_000);
  }
  await page.waitForSelector(".waiting li");
  assert.match(await page.textContent(".waiting"), /El servicio no responde, y todavía no está registrado/);
  await page.unroute(/\/registrations\?/);
  await page.click(".waiting li button:not(.second)");
  const reference = await receipt(page);
  assert.deepEqual(await server.people("Servidor Lejos"), [reference]);
});

journey("a server that is frozen is given up and asked again with the same key", BROKEN, async ({ page, server, line }) => {
  await page.clock.install();
  await page.goto(line.url);
  await fillIn(page, { name: "Servidor Congelado" });
  await toReview(page);
  line.reset();
  server.signal("SIGSTOP");
  await page.click(SEND);
  await until("the request", () => line.posts.length === 1);
  await sleep(300);
  await page.clock.runFor(46_000);
  await until("a pause", async () => /otra vez/.test(await told(page)));
  server.signal("SIGCONT");
  await page.clock.runFor(2_000);
  const reference = await receipt(page);
  assert.equal(line.posts.length, 2);
  assert.deepEqual(await server.people("Servidor Congelado"), [reference]);
});

journey("a reload after an answer was lost does not register again", BROKEN, async ({ page, server, line }) => {
  await page.goto(line.url);
  await fillIn(page, { name: "Recarga" });
  await toReview(page);
  line.swallowed = Infinity;
  await page.click(SEND);
  await until("the registration", async () => (await server.people("Recarga")).length);
  page.on("dialog", (dialog) => dialog.accept());
  await page.reload();
  line.swallowed = 0;
  await page.waitForSelector(".restored");
  const reference = await register(page, { photo: CARD });
  assert.deepEqual(await server.people("Recarga"), [reference]);
});
