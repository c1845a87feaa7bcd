// A citizen with scripts: what is checked before anything is sent, the city, the photo, the review, the receipt.

import assert from "node:assert/strict";

import { accessible, fits, journey, picture, until } from "../harness.mjs";
import { SEND, fillIn, finishPlainly, receipt, register, toReceipt, toReview } from "../people.mjs";
import { CARD, HEIC, beginning, card, file, twelveMegapixels } from "../photos.mjs";

for (const [device, lang, scheme] of [["phone", "es", "light"], ["desk", "en", "dark"]]) {
  journey(`every step is free of barriers on a ${device}, ${lang}, ${scheme}`, { device, lang, scheme }, async ({ page, server, line }) => {
    const check = async (where) => {
      await accessible(page, where);
      await fits(page);
      await picture(page, `${where}-${device}-${lang}-${scheme}`);
    };
    await page.goto(line.url);
    await page.focus("#name");
    await check("form");
    await page.click("#registration button[type=submit]");
    await page.waitForSelector(".summary:focus");
    await check("errors");
    await page.fill("#name", `Paso a Paso ${device}`);
    await page.fill("#city", "victoria");
    await page.waitForSelector("#city-list li");
    await page.press("#city", "ArrowDown");
    await check("cities");
    await page.press("#city", "Enter");
    await page.setInputFiles("#photo", CARD);
    await page.waitForSelector(".shown canvas");
    await page.check("#consent");
    await check("photo");
    await toReview(page);
    await check("review");
    await page.click(SEND);
    await receipt(page);
    await page.waitForSelector("#receipt-actions:not([hidden])");
    await check("receipt");
    await page.goBack();
    await page.waitForSelector("#sent-title");
    await check("sent");
    assert.equal((await server.people(`Paso a Paso ${device}`)).length, 1);
  });
}

journey("nothing is sent that the page can refuse, and the photo stays chosen", {}, async ({ page, line }) => {
  await page.goto(line.url);
  const refused = async (field) => {
    await page.click("#registration button[type=submit]");
    await page.waitForSelector(".summary:focus");
    const links = await page.$$eval(".summary a", (found) => found.map((link) => link.getAttribute("href")));
    assert.deepEqual(links, [`#${field}`]);
    assert.equal(await page.getAttribute(`#${field}`, "aria-invalid"), "true");
    await page.click(".summary a");
    assert.equal(await page.evaluate(() => document.activeElement.id), field);
  };
  const photos = {
    "a.pdf": beginning("%PDF-1.7"), "a.heic": HEIC, "empty.jpg": Buffer.alloc(0), "text.jpg": Buffer.from("una nota"),
    "a.gif": beginning("GIF89a"), "large.jpg": beginning([0xff, 0xd8, 0xff, 0xe0], 25_500_000),
  };
  await fillIn(page, { name: "Nadie", photo: null });
  for (const [name, bytes] of Object.entries(photos)) {
    await page.setInputFiles("#photo", file(name, bytes));
    await refused("photo");
    if (name === "a.heic") assert.match(await page.textContent("#photo-error"), /HEIC/);
  }
  await page.setInputFiles("#photo", CARD);
  for (const city of ["", "Ciudad Gótica", "La Victoria"]) {
    await page.fill("#city", city);
    await refused("city");
  }
  await page.fill("#city", "bogta");
  await page.fill("#name", "  ");
  await refused("name");
  assert.equal(await page.inputValue("#city"), "Bogotá, D.C., Bogotá, D.C.");
  assert.equal(await page.$eval("#photo", (input) => input.files[0].name), "card.jpg");
  await page.fill("#name", "Nadie");
  await toReview(page);
  assert.deepEqual(line.posts, [], "something was sent");
});

journey("a city is chosen with the keyboard alone", { device: "desk" }, async ({ page, line }) => {
  await page.goto(line.url);
  await page.focus("#city");
  await page.waitForSelector("#city[role=combobox][aria-expanded=false]");
  await page.keyboard.type("medelin");
  await page.waitForSelector("#city[aria-expanded=true]");
  assert.match(await page.textContent(".combobox [role=status]"), /Ciudades encontradas: 1$/);
  await page.keyboard.press("ArrowDown");
  const active = await page.getAttribute("#city", "aria-activedescendant");
  assert.equal(await page.getAttribute(`#${active}`, "aria-selected"), "true");
  await page.keyboard.press("Enter");
  assert.equal(await page.inputValue("#city"), "Medellín, Antioquia");
  assert.equal(await page.getAttribute("#city", "aria-expanded"), "false");
  await page.fill("#city", "san");
  await page.waitForSelector("#city[aria-expanded=true]");
  await page.keyboard.press("ArrowUp");
  const count = await page.$$eval("#city-list li", (options) => options.length);
  assert.equal(await page.getAttribute("#city", "aria-activedescendant"), `city-option-${count - 1}`);
  await page.keyboard.press("Escape");
  assert.equal(await page.getAttribute("#city", "aria-expanded"), "false");
  assert.equal(await page.inputValue("#city"), "san");
  await page.fill("#city", "qqqq");
  await until("the count", async () => /Ninguna/.test(await page.textContent(".combobox [role=status]")));
});

journey("a large photo goes up small, upright and without the place where it was taken", {}, async ({ page, context, server, line }) => {
  const large = await twelveMegapixels(context);
  assert.ok(large.length > 4_000_000 && large.includes("Exif"));
  await page.goto(line.url);
  line.reset();
  const reference = await register(page, { name: "Foto Grande", photo: file("IMG_0001.jpg", large) });
  assert.ok(line.sent < 320_000, `${line.sent} bytes went up`);
  const stored = await server.photo(reference);
  assert.ok(!stored.includes("Exif"));
  const [width, height, red] = await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    const pen = canvas.getContext("2d");
    pen.drawImage(picture, 0, 0);
    const { data } = pen.getImageData(picture.width / 2, 10, 1, 1);
    return [picture.width, picture.height, data[0] - data[1]];
  }, stored.toString("base64"));
  assert.deepEqual([width, height], [1200, 1600]);
  assert.ok(red > 80, "its top is not at the top");
});

journey("a photo that the browser cannot decode goes up as it is", {}, async ({ page, server, line }) => {
  await page.addInitScript(() => delete globalThis.createImageBitmap);
  await page.route(/shrink-worker/, (route) => route.abort());
  await page.goto(line.url);
  const reference = await register(page, { name: "Sin Decodificar" });
  assert.equal(line.posts.length, 1);
  assert.ok(Buffer.concat(line.posted).includes(card()), "not the bytes that were chosen");
  assert.deepEqual(await server.people("Sin Decodificar"), [reference]);
});

journey("a small photo and a dark one are told", {}, async ({ page, line }) => {
  await page.goto(line.url);
  const picture = (width, height, colour) => page.evaluate(async ([width, height, colour]) => {
    const canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext("2d");
    pen.fillStyle = colour;
    pen.fillRect(0, 0, width, height);
    return [...new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer())];
  }, [width, height, colour]);
  for (const [width, height, colour, warning] of [[640, 480, "#ccc", /pequeña/], [2000, 1500, "#111", /oscura/], [2000, 1500, "#ccc", /^$/]]) {
    await page.setInputFiles("#photo", file("a.png", Buffer.from(await picture(width, height, colour)), "image/png"));
    await page.waitForSelector(".shown:not([hidden]) canvas");
    const told = await page.$$eval(".shown .warning", (found) => found.map((one) => one.textContent).join(" "));
    assert.match(told, warning);
  }
  await page.setInputFiles("#photo", file("a.png", Buffer.from(await picture(160, 120, "#ccc")), "image/png"));
  await until("the refusal", async () => /320/.test(await page.textContent("#photo-note")));
});

journey("answers are shown before they are sent, and can be changed", {}, async ({ page, server, line }) => {
  await page.goto(line.url);
  await fillIn(page, { name: "Ana Revisa", document: "52.111.222" });
  await toReview(page);
  const review = await page.textContent(".answers");
  for (const answer of ["Ana Revisa", "Cali, Valle del Cauca", "52.111.222"]) assert.ok(review.includes(answer), review);
  assert.ok(await page.isVisible(".answers canvas"));
  await page.goBack();
  await page.waitForSelector("#name:visible");
  await page.fill("#name", "Ana Revisada");
  await toReview(page);
  await toReceipt(page);
  assert.equal((await server.people("Ana Revisada")).length, 1);
});

journey("no link wipes the form", {}, async ({ page, line }) => {
  await page.goto(line.url);
  await fillIn(page, { name: "Ana Enlace", email: "ana@ejemplo.com", photo: null });
  await page.click("footer a[href*=privacy]");
  assert.ok(await page.$eval("#privacy", (notice) => notice.open));
  assert.equal(await page.inputValue("#name"), "Ana Enlace");
  await page.click(".switch");
  await page.waitForSelector("html[lang=en]");
  await page.waitForSelector(".restored");
  assert.equal(await page.inputValue("#name"), "Ana Enlace");
  assert.equal(await page.inputValue("#email"), "ana@ejemplo.com");
  await page.reload();
  await page.waitForSelector(".restored");
  await accessible(page, "the restored form");
  await page.click(".restored button");
  assert.equal(await page.inputValue("#name"), "");
  await page.reload();
  assert.equal(await page.inputValue("#name"), "");
});

journey("the receipt can be copied and printed, and the next person has the city and the e-mail", {}, async ({ page, line }) => {
  await page.addInitScript(() => {
    globalThis.print = () => (document.title = "printed");
    navigator.share = async (shared) => (document.title = shared.url);
  });
  await page.goto(line.url);
  const reference = await register(page, { name: "Madre Uno", email: "familia@ejemplo.com" });
  const [print, copy, share] = await page.$$("#receipt-actions button");
  await copy.click();
  await until("the copy", async () => (await page.evaluate(() => navigator.clipboard.readText())) === reference);
  await print.click();
  assert.equal(await page.title(), "printed");
  await share.click();
  assert.ok((await page.title()).endsWith(`/registrations/${reference}`));
  await page.click("a[href*=another]");
  await page.waitForSelector(".restored");
  assert.equal(await page.inputValue("#city"), "Cali, Valle del Cauca");
  assert.equal(await page.inputValue("#email"), "familia@ejemplo.com");
  assert.equal(await page.inputValue("#name"), "");
});

journey("what the server refuses is told at its field, and the photo stays chosen", { expected: [/^Failed to load resource: the server responded with a status of 4/] }, async ({ page, server, line }) => {
  await page.goto(line.url);
  const reference = await register(page, { name: "Primera", document: "11223344" });
  await page.goto(line.url);
  await fillIn(page, { name: "Segunda", document: "11223344", email: "no es correo" });
  await toReview(page);
  await page.click(SEND);
  await page.waitForSelector("#email-error");
  await page.fill("#email", "");
  await toReview(page);
  await page.click(SEND);
  await page.waitForSelector("#document_number-error");
  assert.equal(await page.$eval("#photo", (input) => input.files[0].name), "card.jpg");
  assert.deepEqual(await server.people("Segunda"), []);
  // The same person again is shown what is registered.
  await page.fill("#name", "Primera");
  await toReview(page);
  assert.equal(await toReceipt(page), reference);
  assert.deepEqual(await server.people("Primera"), [reference]);
});

journey("without the rest of its scripts it is a plain form", { expected: [/^Failed to load resource/, /registration/] }, async ({ page, server, line }) => {
  await page.route(/registration\.[0-9a-f]+\.js/, (route) => route.abort());
  await page.goto(line.url);
  await fillIn(page, { name: "Plana" });
  await page.click("#registration button[type=submit]");
  await until("the server's next page", async () => page.url() !== `${line.url}/`);
  const reference = await finishPlainly(page);
  assert.deepEqual(await server.people("Plana"), [reference]);
});
