// The photo's field: what was chosen is made ready at once, and shown for review.

import { button, make, texts } from "./page.js";
import { prepare } from "./photo.js";

/** The photo that is sent. */
export class PhotoField {
  /** Name of the file that was chosen. */
  name = "";
  /** @type {Promise<import("./photo.js").Photo> | undefined} */
  #ready;
  #preview = make("figure", { class: "shown" });

  /** @param {HTMLInputElement} input @param {HTMLElement} note where its state is told */
  constructor(input, note) {
    this.input = input;
    this.note = note;
    this.#preview.hidden = true;
    note.after(this.#preview);
    input.addEventListener("change", () => this.#choose());
    this.#choose();
  }

  /** What is sent, or why it cannot be. @returns {Promise<import("./photo.js").Photo>} */
  async ready() {
    return (await this.#ready) ?? { fault: "error_photo_required" };
  }

  /** Takes the photo of an earlier attempt. @param {Blob} photo @param {string} name */
  restore(photo, name) {
    this.#prepare(new File([photo], name, { type: photo.type }));
  }

  clear() {
    this.#ready = undefined;
    this.input.value = "";
    this.note.textContent = "";
    this.#preview.hidden = true;
  }

  #choose() {
    const file = this.input.files?.[0];
    // Whoever closes the chooser again keeps what was chosen before.
    if (file) this.#prepare(file);
  }

  /** @param {File} file */
  async #prepare(file) {
    this.name = file.name;
    this.note.className = "note";
    this.note.textContent = texts.script_photo_working;
    this.#preview.hidden = true;
    const ready = prepare(file);
    this.#ready = ready;
    const { fault, preview, warnings = [] } = await ready;
    // Another may have been chosen since.
    if (this.#ready !== ready) return;
    this.note.className = fault ? "error" : "note";
    this.note.textContent = fault ? texts[fault] : "";
    if (preview) this.#show(preview, warnings);
  }

  /** @param {ImageBitmap} picture @param {string[]} warnings */
  #show(picture, warnings) {
    const again = () => {
      this.input.removeAttribute("capture");
      this.input.click();
    };
    const retake = () => {
      this.input.setAttribute("capture", "environment");
      this.input.click();
    };
    const buttons = [button(texts.script_photo_another, again, "second")];
    if (matchMedia("(pointer: coarse)").matches) buttons.unshift(button(texts.script_photo_retake, retake, "second"));
    this.#preview.replaceChildren(
      canvasOf(picture),
      make("div", { role: "status" },
        ...warnings.map((name) => make("p", { class: "warning" }, texts[name])), make("p", {}, texts.check_photo_question)),
      make("p", { class: "actions" }, ...buttons),
    );
    this.#preview.hidden = false;
  }
}

/** @param {ImageBitmap} picture */
export function canvasOf(picture) {
  const canvas = /** @type {HTMLCanvasElement} */ (make("canvas", { role: "img", "aria-label": texts.script_photo_preview }));
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d")?.drawImage(picture, 0, 0);
  return canvas;
}
