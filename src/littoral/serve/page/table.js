// All images that were given, one row each, and the same as a CSV file.

import { element, reason } from "./result.js";
import { percent, say } from "./words.js";

const HEADS = ["picture", "name", "label", "confidence", "verdict", "shallow", "deep"];

const COLUMNS = ["name", "label", "confidence", "accepted", "novelty", "shallow", "shallow_confidence", "deep",
  "deep_confidence", "error", "model"];

export function showHeads(place) {
  place.replaceChildren(...HEADS.map((name) => {
    const head = element("th", say(name));
    head.scope = "col";
    return head;
  }));
}

/** Show `entry` in its row, made here the first time; `choose` is called when its name is. */
export function showRow(body, entry, chosen, choose) {
  if (!entry.row) {
    entry.row = beginning(entry, choose);
    body.append(entry.row);
  }
  const { answer, error, row } = entry;
  row.querySelector("button").setAttribute("aria-label", say("show", { name: entry.name }));
  row.toggleAttribute("aria-current", chosen);
  if (chosen) row.setAttribute("aria-current", "true");
  const cells = error ? failure(error) : answer ? found(answer) : [element("td", "…")];
  if (cells.length < 5) cells.at(-1).colSpan = 6 - cells.length;
  for (const old of [...row.cells].slice(2)) old.remove(); // the first two stay, and with them the keyboard's focus
  row.append(...cells);
}

/** A row with a picture and a name, which is a button. */
function beginning(entry, choose) {
  const image = element("img"), name = element("button", entry.name), first = element("td"), second = element("td", "", "name");
  image.alt = "";
  image.src = entry.url;
  image.addEventListener("error", () => (image.hidden = true));
  name.type = "button";
  name.addEventListener("click", choose);
  first.append(image);
  second.append(name);
  const row = element("tr");
  row.append(first, second);
  return row;
}

function failure(error) {
  return [element("td", reason(error), "note bad")];
}

function found(answer) {
  const verdict = answer.accepted === null ? "unknown" : answer.accepted ? "yes" : "no";
  const cells = [answer.label, `${percent(answer.confidence)} %`, say(verdict)].map((words) => element("td", words));
  const sides = ["shallow", "deep"].map((side) =>
    element("td", answer[side] ? `${answer[side].label} · ${percent(answer[side].confidence)} %` : "–"));
  return [...cells, ...sides];
}

/** The rows as CSV (RFC 4180), for spreadsheets too: a cell that one would take for a formula begins with an apostrophe. */
export function asCsv(entries) {
  const rows = entries.map(({ name, answer, error }) => {
    const told = answer ?? {};
    const row = { ...told, name, error: error ? reason(error, "en") : "", shallow: told.shallow?.label, deep: told.deep?.label,
      shallow_confidence: told.shallow?.confidence, deep_confidence: told.deep?.confidence };
    return COLUMNS.map((column) => cell(row[column] ?? ""));
  });
  return [COLUMNS, ...rows].map((row) => row.join(",")).join("\r\n") + "\r\n";
}

function cell(value) {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
