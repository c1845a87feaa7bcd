// What was typed, kept in the tab's own storage: it survives a reload, a change of language and a phone that is short of
// memory, and is gone with the tab, when it was sent, or when the person says so. The photo is not in it.

/** @typedef {{ key?: string, values: Record<string, string> }} Draft with the idempotency key, so that it is sent once */

/** The form's controls with an answer in them. @param {HTMLFormElement} form */
export function answers(form) {
  const controls = /** @type {(HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement)[]} */ ([...form.elements]);
  return controls.filter(({ name, type }) => name && !["hidden", "file", "submit", "button", "fieldset"].includes(type));
}

/** @param {HTMLFormElement} form @param {string} key */
export function saveDraft(form, key) {
  /** @type {Record<string, string>} */
  const values = {};
  for (const control of answers(form)) {
    if (control.type !== "radio" && control.type !== "checkbox") values[control.name] = control.value;
  }
  store("draft", { key, values });
}

/** Puts answers back, each into the control of its name. @param {HTMLFormElement} form @param {Record<string, string>} values */
export function fill(form, values) {
  for (const control of answers(form)) {
    if (control.type !== "radio" && control.type !== "checkbox" && control.name in values) control.value = values[control.name];
  }
}

/** @returns {Draft | undefined} */
export function draft() {
  try {
    return JSON.parse(sessionStorage.getItem("draft") ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/** For the next person of the family, if the receipt's link asks for it. @param {Record<string, string>} values */
export const keepForNext = ({ city = "", email = "" }) => store("kept", { values: { city, email } });

/** @param {"draft" | "kept"} name */
export function forget(name) {
  try {
    sessionStorage.removeItem(name);
  } catch {
    // There is none.
  }
}

/** @param {string} name @param {Draft} draft */
function store(name, draft) {
  try {
    sessionStorage.setItem(name, JSON.stringify(draft));
  } catch {
    // A browser that stores nothing.
  }
}
