// What answers where there is no server: the model itself, run in this browser by onnxruntime-web. Images stay here.
//
// `littoral export --web` lays this file in the place of the server's `page/engine.js`.

import * as ort from "../ort/ort.wasm.bundle.min.js";
import { NoAnswer } from "./no_answer.js";
import { explanation } from "./occlusion.js";
import { pixelsOf } from "./pixels.js";

/** The words that say where images go. */
export const NOTE = "stays";

let model = null, session = null, turn = Promise.resolve();

/** The model: classes, form of images, test result, version; and whether its file was found to be as it was exported. */
export async function about() {
  const told = JSON.parse(new TextDecoder().decode(await read("model.json")));
  const content = await read("model.onnx");
  const checked = Boolean(crypto.subtle); // which browsers have for pages from HTTPS or from this machine
  if (checked && (await sha256(content)) !== told.sha256) throw new NoAnswer("changed");
  ort.env.wasm.numThreads = 1; // more need headers that a plain host does not send
  session = await able(() => ort.InferenceSession.create(content, { executionProviders: ["wasm"] }));
  model = { ...told, checked };
  return model;
}

/** The model's answer for one image, a Blob, in the form of the server's. */
export async function predict(image, top, explain) {
  const pixels = await pixelsOf(image);
  const outputs = await run(pixels.rgb, [1, pixels.height, pixels.width, 3]);
  const answer = answered(outputs, top);
  if (explain) answer.explanation = await explanation(image, Number(outputs.label.data[0]), model.image, run);
  return answer;
}

/** The outputs for uint8 images of one size, `dims` [n, height, width, 3]. One call at a time: all share its memory. */
function run(rgb, dims) {
  const asked = turn.then(() => able(() => session.run({ images: new ort.Tensor("uint8", rgb, dims) })));
  turn = asked.catch(() => {});
  return asked;
}

function answered({ label, probabilities, accepted, novelty, ...others }, top) {
  const names = model.class_names;
  const best = [...names.keys()].sort((one, other) => probabilities.data[other] - probabilities.data[one]);
  const told = (shares, number) => ({ label: names[number], confidence: shares[number] });
  const opinion = (output) => (output ? told(output.data, output.data.indexOf(Math.max(...output.data))) : null);
  return {
    ...told(probabilities.data, Number(label.data[0])),
    accepted: accepted ? Boolean(accepted.data[0]) : null,
    novelty: novelty ? novelty.data[0] : null,
    top: best.slice(0, top).map((number) => ({ label: names[number], probability: probabilities.data[number] })),
    shallow: opinion(others.shallow_probabilities),
    deep: opinion(others.deep_probabilities),
    explanation: null,
    model: model.version,
  };
}

async function read(name) {
  let response;
  try {
    response = await fetch(name, { cache: "no-cache" }); // so that both files are of one export
  } catch {
    throw new NoAnswer("unreachable");
  }
  if (!response.ok) throw new NoAnswer("unreachable");
  return new Uint8Array(await response.arrayBuffer());
}

async function sha256(content) {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return [...sum].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What the runtime gives; throws NoAnswer where it cannot, as for want of memory. */
async function able(call) {
  try {
    return await call();
  } catch (error) {
    throw new NoAnswer("unable", String(error?.message ?? error));
  }
}
