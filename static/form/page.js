// What the other scripts need of the page: its texts, and making and naming elements.

/** Every sentence that scripts show, in the page's language. @type {Record<string, string>} */
export const texts = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");

/** The page's language: `es` or `en`. */
export const lang = document.documentElement.lang;

/**
 * Makes an element. A property that begins with `on` is a listener; one that is undefined is left out.
 *
 * @param {string} tag
 * @param {Record<string, string | undefined | ((event: Event) => void)>} [properties] attributes
 * @param {...(Node | string)} children
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** @param {string} label @param {() => void} act @param {string} [kind] a class */
export const button = (label, act, kind) => make("button", { type: "button", class: kind, onclick: act }, label);

/** The address of a registration. @param {string} reference */
export const addressOf = (reference) => `/registrations/${encodeURIComponent(reference)}?lang=${lang}`;

/** Shows a part of the page, tells it to a screen reader, and brings it into view. @param {HTMLElement} part */
export function turnTo(part) {
  part.hidden = false;
  part.tabIndex = -1;
  part.focus({ preventScroll: true });
  part.scrollIntoView({ block: "start" });
}
