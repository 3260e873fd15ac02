// The page: what a person gives goes to the engine, and what it answers is shown.

import { asPng, board, centred } from "./draw.js";
import { about, NoAnswer, predict, useKey } from "./engine.js";
import { element, showResult, TOP } from "./result.js";
import { asCsv, showHeads, showRow } from "./table.js";
import { currentLanguage, percent, say, speak } from "./words.js";

const AT_ONCE = 4; // images on their way at a time
const PAUSE = 120; // milliseconds without a new stroke before a drawing is looked at
const DRAWN = 64; // pixels of the longer side up to which a grey model is one to draw for

const part = (id) => document.getElementById(id);
const state = { model: null, entries: [], waiting: [], working: 0, shown: null, looks: 0, unlocked: null };

// --- showing ---

function show(entry) {
  const before = state.shown;
  state.shown = entry;
  for (const one of [before, entry]) if (one?.row) showOne(one);
  showShown();
}

function showShown() {
  if (state.shown) return showResult(part("answer"), state.shown, () => explain(state.shown));
  part("answer").replaceChildren(element("p", say(part("drawing").hidden ? "nothingToDraw" : "nothing"), "soft"));
}

function showOne(entry) {
  showRow(part("rows"), entry, entry === state.shown, () => show(entry));
}

function showProgress() {
  const done = state.entries.filter((entry) => entry.answer || entry.error).length;
  part("all").hidden = state.entries.length === 0;
  part("progress").textContent = say("progress", { done, total: state.entries.length });
  part("csv").disabled = done < state.entries.length;
}

function showModel() {
  if (!state.model) return;
  const { class_names, image, test, version } = state.model;
  const accuracy = test === null ? "" : say("accuracy", {
    percent: (100 * test.accuracy).toFixed(2), n: test.n.toLocaleString(currentLanguage()),
    low: (100 * test.ci95[0]).toFixed(2), high: (100 * test.ci95[1]).toFixed(2),
  });
  part("about").textContent = say("about", { classes: class_names.length, accuracy, version });
  const kind = say(image.channels === 1 ? "grey" : "colour");
  const digits = class_names.length === 10 && class_names.every((name) => /^\d$/.test(name));
  part("form").textContent = say("form", { ...image, kind }) + (digits ? ` ${say("onBlack")}` : "");
  part("drawing").hidden = image.channels !== 1 || Math.max(image.height, image.width) > DRAWN;
}

function showAll(language) {
  speak(language);
  part("language").value = language;
  showModel();
  showHeads(part("heads"));
  state.entries.forEach(showOne);
  showProgress();
  showShown();
}

// --- asking ---

async function start() {
  try {
    state.model = await about();
  } catch (error) {
    return refused(error, start);
  }
  showModel();
  showShown();
  begin();
}

function refused(error, again) {
  if (!(error instanceof NoAnswer)) throw error;
  if (error.kind !== "locked") {
    part("answer").replaceChildren(element("p", say("unreachable"), "error"));
    return;
  }
  state.unlocked ??= newKey(); // one key for all that wait for it
  state.unlocked.then(again);
}

function newKey() {
  return new Promise((done) => {
    part("locked").showModal();
    part("locked").addEventListener("close", () => {
      useKey(part("key").value);
      part("key").value = "";
      state.unlocked = null;
      done();
    }, { once: true });
  });
}

async function ask(entry, withLooks = false) {
  try {
    entry.answer = await predict(entry.blob, TOP, withLooks);
    entry.error = null;
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    if (error.kind === "locked") return refused(error, () => ask(entry, withLooks).then(() => shownAgain(entry)));
    entry.error = error;
  }
}

function shownAgain(entry) {
  if (entry.row) showOne(entry);
  if (entry === state.shown) showShown();
}

async function explain(entry) {
  entry.explaining = true;
  showShown();
  await ask(entry, true);
  entry.explaining = false;
  shownAgain(entry);
}

function give(files) {
  const given = [...files].map((file) => ({ name: file.name, blob: file, url: URL.createObjectURL(file) }));
  if (given.length === 0) return;
  state.entries.push(...given);
  state.waiting.push(...given);
  given.forEach(showOne);
  show(given.at(-1));
  showProgress();
  begin();
}

function begin() {
  if (!state.model) return; // its classes say how many to ask for: what was given waits
  for (let number = state.working; number < AT_ONCE; number += 1) work();
}

async function work() {
  state.working += 1;
  while (state.waiting.length > 0) {
    const entry = state.waiting.shift();
    await ask(entry);
    shownAgain(entry);
    showProgress();
  }
  state.working -= 1;
}

// --- what a person does ---

let pause = null;
const drawn = board(part("board"), () => {
  clearTimeout(pause);
  pause = setTimeout(look, PAUSE);
});

function release(url) {
  setTimeout(() => URL.revokeObjectURL(url), 1000); // what is being loaded from it may finish
}

async function look() {
  const { height, width } = state.model.image;
  const pixels = centred(drawn.ink(), part("board").width, height, width);
  if (pixels === null) return;
  const blob = await asPng(pixels, height, width);
  const entry = { name: say("drawing"), blob, url: URL.createObjectURL(blob), drawn: true };
  const number = state.looks += 1;
  await ask(entry);
  if (number !== state.looks) return release(entry.url); // wiped, or drawn on meanwhile
  if (state.shown?.drawn) release(state.shown.url);
  show(entry);
}

part("wipe").addEventListener("click", () => {
  clearTimeout(pause);
  state.looks += 1;
  drawn.wipe();
  if (state.shown?.drawn) show(null);
});
part("choose").addEventListener("click", () => part("files").click());
part("photograph").addEventListener("click", () => part("camera").click());
for (const id of ["files", "camera"]) part(id).addEventListener("change", ({ target }) => {
  give(target.files);
  target.value = "";
});
document.addEventListener("paste", (event) => give(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  give(event.dataTransfer.files);
});
part("csv").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob(["\ufeff", asCsv(state.entries)], { type: "text/csv" }));
  Object.assign(document.createElement("a"), { href: url, download: "littoral.csv" }).click();
  release(url);
});
part("clear").addEventListener("click", () => {
  for (const entry of state.entries) release(entry.url);
  state.waiting = [];
  state.entries = [];
  part("rows").replaceChildren();
  show(null);
  showProgress();
  part("choose").focus();
});
part("language").addEventListener("change", ({ target }) => showAll(target.value));

showAll(currentLanguage());
start();
