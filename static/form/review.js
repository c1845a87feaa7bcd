// Check your answers, and then their way to the server: progress, cancelling, pauses between attempts.

import { answers } from "./draft.js";
import { button, make, texts, turnTo } from "./page.js";
import { canvasOf } from "./photo-field.js";

/** Milliseconds after which the percentage is told again although it has hardly changed. */
const TOLD_EVERY = 5_000;

/** What a person has answered, as they would read it. @param {HTMLFormElement} form @param {ImageBitmap} [preview] */
function answersOf(form, preview) {
  const list = make("dl", { class: "answers" });
  for (const control of answers(form)) {
    if (control.type === "checkbox" || (control instanceof HTMLInputElement && control.type === "radio" && !control.checked)) continue;
    if (control.name === "document_type" && !(/** @type {any} */ (form.elements).document_number?.value)) continue;
    const label = form.querySelector(control.type === "radio" ? "legend" : `label[for="${control.id}"]`);
    const value = control instanceof HTMLSelectElement ? control.selectedOptions[0]?.text
      : control.type === "radio" ? control.labels?.[0]?.textContent : control.value.trim();
    list.append(make("dt", {}, label?.firstChild?.textContent?.trim() ?? ""), make("dd", {}, value || texts.check_none));
  }
  if (preview) {
    const label = form.querySelector('label[for="photo"]');
    list.append(make("dt", {}, label?.firstChild?.textContent?.trim() ?? ""), make("dd", {}, canvasOf(preview)));
  }
  return list;
}

/** The page's second step. */
export class Review {
  element = make("section", { "aria-labelledby": "review-title" });
  #buttons = make("p", { class: "actions" });
  #sending = make("div", { class: "sending" });
  #bar = make("div", { role: "progressbar", class: "bar", "aria-label": texts.script_sending, "aria-valuemin": "0", "aria-valuemax": "100" },
    make("div", {}));
  #percent = make("p", { class: "percent", "aria-hidden": "true" });
  #told = make("p", { role: "status" });
  #toldPercent = 0;
  #toldAt = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #clock;
  #value = 0;

  /** @param {{ send: () => void, change: () => void, cancel: () => void }} on */
  constructor({ send, change, cancel }) {
    this.#buttons.append(button(texts.form_submit, send), button(texts.check_change, change, "second"));
    this.#sending.append(this.#bar, this.#percent, make("p", { class: "actions" }, button(texts.script_cancel, cancel, "second")));
    this.element.hidden = true;
  }

  /** @param {HTMLFormElement} form @param {ImageBitmap} [preview] */
  open(form, preview) {
    this.#told.textContent = "";
    this.element.replaceChildren(
      make("h1", { id: "review-title" }, texts.check_title),
      make("p", { class: "lead" }, texts.check_lead),
      answersOf(form, preview), this.#told, this.#buttons, this.#sending,
    );
    this.#isSending(false);
    turnTo(this.element);
  }

  begin() {
    this.#isSending(true);
    this.#toldPercent = -10;
    this.progress(0);
    clearInterval(this.#clock);
    this.#clock = setInterval(() => this.#tell(true), 1_000);
    this.#sending.tabIndex = -1;
    this.#sending.focus();
  }

  /** @param {number} sent 0 to 1 */
  progress(sent) {
    this.#value = Math.floor(sent * 100);
    this.#bar.setAttribute("aria-valuenow", String(this.#value));
    /** @type {HTMLElement} */ (this.#bar.firstElementChild).style.width = `${this.#value}%`;
    this.#percent.textContent = `${this.#value} %`;
    this.#tell(false);
  }

  /** Ends the sending, with a sentence about it. @param {string} [sentence] */
  end(sentence = "") {
    clearInterval(this.#clock);
    this.#isSending(false);
    this.say(sentence);
    if (sentence) this.#buttons.querySelector("button")?.focus();
  }

  /** @param {string} sentence */
  say(sentence) {
    this.#told.textContent = sentence;
    this.#toldAt = Date.now();
  }

  /** Every ten per cent, and every five seconds. @param {boolean} isLate */
  #tell(isLate) {
    const isFurther = this.#value >= this.#toldPercent + 10;
    if (!isFurther && !(isLate && Date.now() - this.#toldAt >= TOLD_EVERY)) return;
    this.#toldPercent = this.#value - (this.#value % 10);
    this.say(this.#value < 100 ? `${texts.script_sending} ${this.#value} %` : texts.script_sent_all);
  }

  /** @param {boolean} on */
  #isSending(on) {
    this.#sending.hidden = !on;
    this.#buttons.hidden = on;
  }
}
