// The form with scripts: it is checked here first, shown for review, and sent with progress; it is sent once. The
// modules beside this one are its parts; this one decides what comes after what.

import { combobox } from "./city.js";
import { answers, draft, fill, forget, keepForNext, saveDraft } from "./draft.js";
import { clearErrors, showErrors } from "./errors.js";
import * as outbox from "./outbox.js";
import { addressOf, button, lang, make, texts, turnTo } from "./page.js";
import { PhotoField } from "./photo-field.js";
import { Review } from "./review.js";
import { send } from "./send.js";
import { WaitingList } from "./waiting.js";

const form = /** @type {HTMLFormElement} */ (document.getElementById("registration"));
const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const key = /** @type {HTMLInputElement} */ (form.elements.namedItem("idempotency_key"));
const city = /** @type {HTMLInputElement} */ (document.getElementById("city"));
const submit = /** @type {HTMLButtonElement} */ (form.querySelector("button[type=submit]"));

/** What is seen while the form is filled in. */
const formView = /** @type {HTMLElement[]} */ ([...main.children]);
const photo = new PhotoField(/** @type {HTMLInputElement} */ (document.getElementById("photo")),
  /** @type {HTMLElement} */ (document.getElementById("photo-note")));
const cities = city.type === "text" ? combobox(city) : undefined;
const review = new Review({ send: deliver, change: () => history.back(), cancel: () => sending?.abort() });
const waiting = new WaitingList({ delivered, correct, another, empty: () => step === "waiting" && startAnew({}) });
const sent = make("section", { "aria-labelledby": "sent-title" });
sent.hidden = true;
main.append(review.element, sent);
main.prepend(waiting.element);

/** @type {"form" | "review" | "sent" | "waiting"} */
let step = "form";
/** Ends the sending that is under way. @type {AbortController | undefined} */
let sending;
let isChecking = false;

fitKeyboard();
restore();
waiting.show();
registerWorker();

form.addEventListener("input", () => saveDraft(form, key.value));
form.addEventListener("change", () => saveDraft(form, key.value));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { name, value } = /** @type {HTMLButtonElement} */ (event.submitter ?? submit);
  if (name !== "lang") return void check();
  saveDraft(form, key.value);
  location.assign(`/?lang=${value}`);
});
addEventListener("popstate", ({ state }) => {
  if (step !== "form" && step !== "review") return;
  sending?.abort();
  if (state?.step === "review") check();
  else show("form");
});
addEventListener("pageshow", () => {
  if (history.state?.reference) showSent(history.state.reference);
});
// What is sent must not be left without a word.
addEventListener("beforeunload", (event) => sending && event.preventDefault());

/** @param {"form" | "review" | "sent" | "waiting"} next */
function show(next) {
  step = next;
  for (const part of formView) part.hidden = next !== "form";
  review.element.hidden = next !== "review";
  sent.hidden = next !== "sent";
  waiting.standAlone(next === "waiting");
}

/** What an earlier visit of this tab has left. */
function restore() {
  if (history.state?.reference) return showSent(history.state.reference);
  if (history.state?.step) history.replaceState(null, "");
  const kept = draft();
  forget("kept");
  // A form that the server has sent back has its answers already.
  if (!kept || document.querySelector(".summary")) return;
  fill(form, kept.values);
  if (kept.key) key.value = kept.key;
  else saveDraft(form, key.value);
  fitKeyboard();
  const note = make("p", { class: "note restored" }, `${texts.script_draft} `, button(texts.script_draft_erase, () => {
    startAnew({});
    note.remove();
  }, "second"));
  form.prepend(note);
}

/** Everything that the server would refuse and that can be known here; then the review. */
async function check() {
  if (isChecking || sending) return;
  isChecking = true;
  submit.disabled = true;
  try {
    /** @type {import("./errors.js").FieldError[]} */
    const errors = [];
    const cityFault = cities && city.value.trim() ? await cities.settle() : undefined;
    const { fault: photoFault, preview } = await photo.ready();
    for (const control of /** @type {HTMLInputElement[]} */ ([...form.elements])) {
      const field = control.name;
      if (field === "photo") {
        if (photoFault) errors.push({ field, message: texts[photoFault] });
      } else if (field === "city" && cityFault) {
        errors.push({ field, message: texts[cityFault] });
      } else if (control.required && (control.type === "checkbox" ? !control.checked : !control.value.trim())) {
        errors.push({ field: control.id, message: control.dataset.required ?? texts[`error_${field}_required`] ?? control.validationMessage });
      }
    }
    if (errors.length) return showAgain(errors);
    clearErrors();
    saveDraft(form, key.value);
    if (history.state?.step !== "review") history.pushState({ step: "review" }, "");
    show("review");
    review.open(form, preview);
  } finally {
    isChecking = false;
    submit.disabled = false;
  }
}

/** The form with errors. @param {import("./errors.js").FieldError[]} errors */
function showAgain(errors) {
  show("form");
  showErrors(errors);
}

/** Sends what was reviewed. */
async function deliver() {
  const { blob } = await photo.ready();
  if (sending || !blob) return;
  const ended = (sending = new AbortController());
  /** @type {import("./send.js").Form} */
  const whole = {
    key: key.value,
    // The key has its own place; the step is that of the form without scripts.
    fields: [...new FormData(form)].flatMap(([name, value]) =>
      typeof value === "string" && !["idempotency_key", "step"].includes(name) ? [/** @type {[string, string]} */ ([name, value])] : []),
    photo: blob,
    photoName: blob instanceof File ? blob.name : "photo.jpg",
  };
  review.begin();
  const outcome = await send(whole, lang, {
    progress: (part) => review.progress(part),
    pause: (away) => review.say(away === "network" ? texts.script_retry_network : texts.script_retry_server),
    signal: ended.signal,
  });
  sending = undefined;
  review.end();
  if (outcome.reference) return registered(outcome.reference, whole);
  if (outcome.problem) return refused(outcome.problem);
  if (ended.signal.aborted) return review.end(texts.script_canceled);
  if (outbox.canKeep()) {
    try {
      await waiting.keep(whole, outcome.again ?? "network");
      forget("draft");
      show("waiting");
      return turnTo(waiting.element);
    } catch {
      // A browser that stores nothing: the form stays in the page.
    }
  }
  review.end(outcome.again === "network" ? texts.script_away_network : texts.script_away_server);
  addEventListener("online", () => step === "review" && deliver(), { once: true });
}

/** The server has it. @param {string} reference @param {import("./send.js").Form} [whole] */
function registered(reference, whole) {
  forget("draft");
  if (whole) keepForNext(Object.fromEntries(whole.fields));
  // So that Back tells of it.
  history.replaceState({ reference }, "");
  showSent(reference);
  location.assign(addressOf(reference));
}

/** What waited was delivered. @param {import("./outbox.js").Waiting} one */
async function delivered({ id, reference }) {
  if (step !== "waiting" || id !== key.value || !reference) return;
  step = "sent";
  await outbox.erase(id);
  registered(reference);
}

/** The server wants something else. @param {import("./send.js").Problem} problem */
function refused({ type, errors = [], reference }) {
  if (reference) return showSent(reference, texts.problem_key_reused);
  if (type === "already-registered") return showAgain([{ field: "document_number", message: texts.problem_already_registered }]);
  if (errors.length === 0) return showAgain([{ message: texts.problem_malformed }]);
  showAgain(errors);
}

/** This form was sent. @param {string} reference @param {string} [why] */
function showSent(reference, why = texts.script_sent_lead) {
  forget("draft");
  sent.replaceChildren(
    make("h1", { id: "sent-title" }, texts.problem_key_reused_title),
    make("p", { class: "lead" }, why),
    make("p", {}, `${texts.registered_reference}: `, make("a", { href: addressOf(reference) }, reference)),
    make("p", { class: "actions" }, button(texts.registered_another, another)),
  );
  show("sent");
  turnTo(sent);
}

/** For the next of the family. */
function another() {
  const kept = answers(form).filter(({ name }) => name === "city" || name === "email");
  startAnew(Object.fromEntries(kept.map(({ name, value }) => [name, value])));
}

/** An empty form with a key of its own, but for these answers. @param {Record<string, string>} values */
function startAnew(values) {
  forget("draft");
  clearErrors();
  form.reset();
  for (const control of answers(form)) if (control instanceof HTMLInputElement && control.type === "text") control.value = "";
  fill(form, { name: "", city: "", document_number: "", email: "", ...values });
  photo.clear();
  key.value = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  history.replaceState(null, "");
  show("form");
  /** @type {HTMLElement | null} */ (form.querySelector("input[type=text]"))?.focus();
}

/** A form that the server has refused while nobody looked, back in the form. @param {string} id */
async function correct(id) {
  const whole = await outbox.open(id);
  if (!whole) return;
  startAnew(Object.fromEntries(whole.fields));
  key.value = whole.key;
  photo.restore(whole.photo, whole.photoName);
  await outbox.erase(id);
  await waiting.show();
  saveDraft(form, key.value);
  check();
}

/** Digits where the document has no letters. */
function fitKeyboard() {
  const type = /** @type {HTMLSelectElement | null} */ (form.elements.namedItem("document_type"));
  const number = document.getElementById("document_number");
  const fit = () => number?.setAttribute("inputmode", ["passport", "other"].includes(type?.value ?? "") ? "text" : "numeric");
  type?.addEventListener("change", fit);
  fit();
}

/** For what waits when the page is closed. */
function registerWorker() {
  if (!outbox.canKeep() || !("SyncManager" in window)) return;
  // Without it the page itself sends.
  navigator.serviceWorker?.register(new URL("./sw.js", import.meta.url), { type: "module" }).catch(() => {});
}
