// Finished forms that wait on the device until the server has them. Each is encrypted with a key of its own that no
// script can read out, and gone with its key when it was delivered or erased. Shared by the page and sw.js.

import { post } from "./send.js";

/**
 * @typedef {object} Waiting what stands in clear beside a form
 * @property {string} id the form's idempotency key
 * @property {number} at when it was put here, in milliseconds since 1970
 * @property {string} lang
 * @property {string} [reference] of its registration: it was delivered, and nothing of it is here any more
 * @property {string} [problem] what the server refuses it for: it waits for the person, not for the network
 */

/** @typedef {Waiting & { key?: CryptoKey, iv?: Uint8Array<ArrayBuffer>, box?: ArrayBuffer }} Row */

/** Whether this browser can keep a form: it encrypts for secure addresses only. */
export const canKeep = () => typeof indexedDB === "object" && Boolean(globalThis.crypto?.subtle);

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/** @template T @param {IDBTransactionMode} mode @param {(forms: IDBObjectStore) => IDBRequest<T>} act @returns {Promise<T>} */
async function inStore(mode, act) {
  const opening = indexedDB.open("padron", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("forms", { keyPath: "id" });
  const database = await done(opening);
  try {
    const transaction = database.transaction("forms", mode);
    const finished = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    const result = await done(act(transaction.objectStore("forms")));
    await finished;
    return result;
  } finally {
    database.close();
  }
}

/** Encrypts and keeps a form. @param {import("./send.js").Form} form @param {string} lang */
export async function keep(form, lang) {
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const texts = new TextEncoder().encode(JSON.stringify({ fields: form.fields, name: form.photoName, type: form.photo.type }));
  const length = new Uint8Array(new Uint32Array([texts.length]).buffer);
  const whole = await new Blob([length, texts, form.photo]).arrayBuffer();
  const box = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, whole);
  /** @type {Row} */
  const row = { id: form.key, at: Date.now(), lang, key, iv, box };
  await inStore("readwrite", (forms) => forms.put(row));
}

/** @param {Row} row @returns {Promise<import("./send.js").Form | undefined>} */
async function decrypt({ id, key, iv, box }) {
  if (!key || !iv || !box) return undefined;
  const whole = await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, box);
  const length = new Uint32Array(whole.slice(0, 4))[0];
  const { fields, name, type } = JSON.parse(new TextDecoder().decode(whole.slice(4, 4 + length)));
  return { key: id, fields, photoName: name, photo: new Blob([whole.slice(4 + length)], { type }) };
}

/** What waits, what was delivered, what was refused; the oldest first. @returns {Promise<Waiting[]>} */
export async function list() {
  /** @type {Row[]} */
  const rows = await inStore("readonly", (forms) => forms.getAll());
  return rows.map(({ id, at, lang, reference, problem }) => ({ id, at, lang, reference, problem })).sort((a, b) => a.at - b.at);
}

/** A form again, to be changed. @param {string} id */
export async function open(id) {
  /** @type {Row | undefined} */
  const row = await inStore("readonly", (forms) => forms.get(id));
  return row && decrypt(row);
}

/** @param {string} id */
export const erase = (id) => inStore("readwrite", (forms) => forms.delete(id));

/**
 * Sends what waits, one after the other, and no two pages or workers at once.
 *
 * @returns {Promise<boolean>} whether something still waits for the network
 */
export async function deliver() {
  if (!navigator.locks) return deliverAll();
  return navigator.locks.request("outbox", deliverAll);
}

async function deliverAll() {
  /** @type {Row[]} */
  const rows = await inStore("readonly", (forms) => forms.getAll());
  let isLeft = false;
  for (const row of rows) {
    const form = row.problem || row.reference ? undefined : await decrypt(row);
    if (!form) continue;
    const outcome = await post(form, row.lang);
    const { id, at, lang } = row;
    if (outcome.reference) await inStore("readwrite", (forms) => forms.put({ id, at, lang, reference: outcome.reference }));
    else if (outcome.again) isLeft = true;
    else await inStore("readwrite", (forms) => forms.put({ ...row, problem: outcome.problem?.type ?? "malformed" }));
  }
  return isLeft;
}
