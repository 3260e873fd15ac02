// What answers: the server that gave this page. The only file that asks for anything.
//
// Where there is no server, `page_alone/engine.js` takes its place, with the same `NOTE`, `about` and `predict`.

import { NoAnswer } from "./no_answer.js";

const TRIES = 6;
const SENDABLE = /^[\x21-\x7e]+$/; // what a header may hold: a key with other signs opens nothing

/** The words that say where images go. */
export const NOTE = "sent";

/** The model: classes, form of images, test result, version. */
export function about() {
  return asked("v1/model", {});
}

/** The model's answer for one image, a Blob. */
export async function predict(image, top, explain) {
  const body = new FormData(); // in a list, an image that cannot be read is told of and is no failed request
  body.append("image", image, image.name || "drawing.png");
  const answer = await asked(`v1/predict?top=${top}&explain=${explain}`, { method: "POST", body });
  const told = answer.predictions[0];
  if (told.error) throw new NoAnswer("refused", told.error);
  return { ...told, model: answer.model };
}

async function asked(path, options) {
  const key = sessionStorage.getItem("key") ?? "";
  const headers = SENDABLE.test(key) ? { Authorization: `Bearer ${key}` } : {};
  for (let tries = 1; ; tries += 1) {
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch {
      throw new NoAnswer("unreachable");
    }
    if (response.ok) return response.json();
    if (response.status === 401) throw new NoAnswer("locked", "", (key) => sessionStorage.setItem("key", key));
    if (response.status === 429 && tries < TRIES) {
      await new Promise((go) => setTimeout(go, 1000 * Number(response.headers.get("Retry-After") || 1)));
      continue;
    }
    if (response.status === 429 || response.status === 504) throw new NoAnswer("busy");
    const problem = await response.json().catch(() => ({}));
    throw new NoAnswer("declined", problem.detail || String(response.status));
  }
}
