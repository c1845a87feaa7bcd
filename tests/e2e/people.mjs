// What a person does with the form, in either browser.

import assert from "node:assert/strict";

import { CARD } from "./photos.mjs";

/** Fills the form in; without a city's name it is Cali. `photo` is a path or a file of `photos.mjs`; null chooses none. */
export async function fillIn(page, { name, city = "Cali, Valle del Cauca", photo = CARD, document, email } = {}) {
  if (name !== undefined) await page.fill("#name", name);
  if (city !== undefined) await page.fill("#city", city);
  if (photo) await page.setInputFiles("#photo", photo);
  if (document !== undefined) await page.fill("#document_number", document);
  if (email !== undefined) await page.fill("#email", email);
  await page.check("#consent");
}

/** From the filled form to its review. */
export async function toReview(page) {
  await page.click("#registration button[type=submit]");
  await page.waitForSelector("#review-title");
}

/** The button of the review that sends. */
export const SEND = "section[aria-labelledby=review-title] > .actions > button:not(.second)";

/** From the review to the receipt; its reference. */
export async function toReceipt(page) {
  await page.click(SEND);
  return receipt(page);
}

/** Waits for the receipt; its reference. */
export async function receipt(page) {
  await page.waitForSelector(".receipt .reference", { timeout: 60_000 });
  assert.match(page.url(), /\/registrations\/[0-9A-Z]{4}-[0-9A-Z]{4}/);
  return (await page.textContent(".reference")).trim();
}

/** Without scripts: presses what leads on, and looks at each page, until there is a receipt; its reference. */
export async function finishPlainly(page, look = async () => {}) {
  for (let step = 0; step < 4 && !(await page.$(".receipt .reference")); step++) {
    await look();
    await page.click("form[method=post] button[type=submit] >> nth=0");
    await page.waitForLoadState();
  }
  return (await page.textContent(".reference")).trim();
}

/** All of it. */
export async function register(page, answers) {
  await fillIn(page, answers);
  await toReview(page);
  return toReceipt(page);
}
