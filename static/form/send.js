// Sends a form to the server, and says what came of it. Whatever happens, the same form has the same idempotency key:
// the server registers it once.

/**
 * @typedef {object} Form
 * @property {string} key its idempotency key
 * @property {[string, string][]} fields all but the photo and the key
 * @property {Blob} photo
 * @property {string} photoName
 */

/**
 * @typedef {object} Problem RFC 9457, as the server writes it
 * @property {string} type
 * @property {{ field: string, code: string, message: string }[]} [errors]
 * @property {string} [reference] of what the key registered before
 */

/**
 * @typedef {object} Outcome
 * @property {string} [reference] it is registered, now or before
 * @property {Problem} [problem] it is refused, and sending it again unchanged is useless
 * @property {"network" | "server"} [again] it may be sent again: what was away
 * @property {number} [after] seconds until then, as the server asks
 */

/** Problems that another attempt may change, by their type. */
const PASSING = ["timeout", "busy", "too-many", "unavailable", "internal"];
/** Milliseconds without a byte sent, or without an answer once all is sent, after which an attempt is given up. */
const SILENCE = 45_000;
/** Milliseconds before each further attempt. */
const PAUSES = [1_000, 3_000, 9_000];

/** @param {string} lang */
const address = (lang) => `/registrations?lang=${lang}&keyed=1`;

/** @param {Form} form */
function bodyOf({ key, fields, photo, photoName }) {
  const body = new FormData();
  body.append("idempotency_key", key);
  for (const [name, value] of fields) body.append(name, value);
  body.append("photo", photo, photoName);
  return body;
}

/** @param {number} status @param {string} text @param {string | null} after @returns {Outcome} */
function outcomeOf(status, text, after) {
  /** @type {any} */
  let answer = {};
  try {
    answer = JSON.parse(text);
  } catch {
    // From something between the server and here.
  }
  if ((status === 200 || status === 201) && answer.reference) return { reference: answer.reference };
  if (PASSING.includes(answer.type) || status >= 500 || !answer.type) return { again: "server", after: Number(after) || 0 };
  return { problem: answer };
}

/** Sends it once, without progress: what a worker can. @param {Form} form @param {string} lang @returns {Promise<Outcome>} */
export async function post(form, lang) {
  try {
    const answer = await fetch(address(lang), {
      method: "POST", headers: { Accept: "application/json" }, body: bodyOf(form), signal: AbortSignal.timeout(5 * 60_000),
    });
    return outcomeOf(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  } catch {
    return { again: "network" };
  }
}

/**
 * Sends it once.
 *
 * @param {Form} form
 * @param {string} lang
 * @param {(sent: number) => void} tell how much of it has gone, 0 to 1
 * @param {AbortSignal} signal
 * @returns {Promise<Outcome>}
 */
function postWithProgress(form, lang, tell, signal) {
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => request.abort(), SILENCE);
    };
    const stop = () => request.abort();
    request.open("POST", address(lang));
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = ({ loaded, total }) => {
      heard();
      tell(total ? loaded / total : 0);
    };
    request.onprogress = heard;
    request.onload = () => done(outcomeOf(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    request.onerror = request.onabort = () => done({ again: "network" });
    request.onloadend = () => {
      clearTimeout(silence);
      signal.removeEventListener("abort", stop);
    };
    signal.addEventListener("abort", stop);
    heard();
    request.send(bodyOf(form));
  });
}

/**
 * Sends it, up to four times.
 *
 * @param {Form} form
 * @param {string} lang
 * @param {object} on
 * @param {(sent: number) => void} on.progress
 * @param {(away: "network" | "server") => void} on.pause an attempt failed, and there will be another
 * @param {AbortSignal} on.signal ends it; the outcome then is whatever it was
 * @returns {Promise<Outcome>}
 */
export async function send(form, lang, { progress, pause, signal }) {
  for (let attempt = 0; ; attempt++) {
    const outcome = navigator.onLine === false ? { again: /** @type {const} */ ("network") }
      : await postWithProgress(form, lang, progress, signal);
    if (!outcome.again || signal.aborted || attempt === PAUSES.length || navigator.onLine === false) return outcome;
    pause(outcome.again);
    const after = "after" in outcome && outcome.after ? outcome.after * 1000 : 0;
    await rest(Math.min(Math.max(PAUSES[attempt], after), 30_000) * (0.85 + 0.3 * Math.random()), signal);
  }
}

/** Until the time is over, the network is back or nobody waits. @param {number} time @param {AbortSignal} signal */
function rest(time, signal) {
  return new Promise((done) => {
    setTimeout(done, time);
    addEventListener("online", done, { once: true });
    signal.addEventListener("abort", done, { once: true });
  });
}
