// The page: what a person gives goes to the engine, and what it answers is shown.

import { asPng, board, centred } from "./draw.js";
import { about, NOTE, predict } from "./engine.js";
import { NoAnswer } from "./no_answer.js";
import { element, reason, showResult, TOP } from "./result.js";
import { asCsv, showHeads, showRow } from "./table.js";
import { currentLanguage, percent, say, speak } from "./words.js";

const AT_ONCE = 4; // images on their way at a time
const PAUSE = 120; // milliseconds without a new stroke before a drawing is looked at
const DRAWN = 64; // pixels of the longer side up to which a grey model is one to draw for

const part = (id) => document.getElementById(id);
const state = {
  model: null, fault: null, entries: [], waiting: [], working: 0, shown: null, looks: 0, unlocked: null,
};

// --- showing ---

function show(entry) {
  const before = state.shown;
  state.shown = entry;
  for (const one of [before, entry]) if (one?.row) showOne(one);
  showShown();
}

function showShown() {
  if (state.fault) return showFault();
  if (state.shown) return showResult(part("answer"), state.shown, () => explain(state.shown));
  if (!state.model) return part("answer").replaceChildren(element("p", say("loading"), "soft"));
  part("answer").replaceChildren(element("p", say(part("drawing").hidden ? "nothingToDraw" : "nothing"), "soft"));
}

/** Why there is no model; where it is the key that lacks, with a button to give it. */
function showFault() {
  part("answer").replaceChildren(element("p", reason(state.fault), "error"));
  if (state.fault.kind !== "locked") return;
  const button = element("button", say("unlock"));
  button.type = "button";
  button.addEventListener("click", start);
  part("answer").append(button);
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
  part("note").textContent = say(NOTE);
  part("about").hidden = !state.model;
  if (!state.model) return;
  const { class_names, image, test, version, sha256, checked } = state.model;
  const accuracy = test === null ? "" : say("accuracy", {
    percent: (100 * test.accuracy).toFixed(2), n: test.n.toLocaleString(currentLanguage()),
    low: (100 * test.ci95[0]).toFixed(2), high: (100 * test.ci95[1]).toFixed(2),
  });
  part("about").textContent = say("about", { classes: class_names.length, accuracy, version });
  const kind = say(image.channels === 1 ? "grey" : "colour");
  const digits = class_names.length === 10 && class_names.every((name) => /^\d$/.test(name));
  part("form").textContent = say("form", { ...image, kind }) + (digits ? ` ${say("onBlack")}` : "");
  part("sum").textContent = sha256 ? say(checked ? "checked" : "unchecked", { sha256 }) : "";
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
  state.fault = null;
  showShown();
  try {
    state.model = await asked(about);
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    state.fault = error;
    return showShown();
  }
  showModel();
  showShown();
  begin();
}

/** What `question` comes to, asked again with each key that a person gives; throws NoAnswer where they give none. */
async function asked(question) {
  for (;;) {
    try {
      return await question();
    } catch (error) {
      if (error.kind !== "locked") throw error;
      state.unlocked ??= newKey(); // one key for all that wait for it
      const key = await state.unlocked;
      if (!key) throw error;
      error.open(key);
    }
  }
}

/** The key that a person enters; "" where they close the dialog. */
function newKey() {
  return new Promise((done) => {
    part("locked").returnValue = "";
    part("locked").showModal();
    part("locked").addEventListener("close", () => {
      done(part("locked").returnValue ? part("key").value : "");
      part("key").value = "";
      state.unlocked = null;
    }, { once: true });
  });
}

async function ask(entry, withLooks = false) {
  try {
    entry.answer = await asked(() => predict(entry.blob, TOP, withLooks));
    entry.error = null;
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    if (entry.answer) entry.unexplained = error; // what was answered before still stands
    else entry.error = error;
  }
}

function shownAgain(entry) {
  if (entry.row) showOne(entry);
  if (entry === state.shown) showShown();
}

async function explain(entry) {
  entry.explaining = true;
  entry.unexplained = null;
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
