// One answer in full: label, doubt, probabilities, what the branches say, heat maps. It makes elements and sets their text.

import { currentLanguage, percent, say } from "./words.js";

export const TOP = 5;

export function element(kind, words = "", name = "") {
  const made = document.createElement(kind);
  if (words) made.textContent = words;
  if (name) made.className = name;
  return made;
}

/** Why there is no answer, in a sentence, in the page's language or another. */
export function reason(error, language = currentLanguage()) {
  return say(error.kind === "refused" ? "image" : error.kind, { detail: error.detail }, language);
}

/** Show `entry` in `place`; `explain` is called when heat maps are asked for. Who has asked by keyboard stays there. */
export function showResult(place, entry, explain) {
  const { answer, error } = entry;
  const held = place.contains(document.activeElement);
  if (error) {
    const told = element("div", "", "error");
    told.append(element("p", entry.name, "soft"), element("p", reason(error)));
    return place.replaceChildren(told);
  }
  if (!answer) return place.replaceChildren(element("p", say("waiting"), "soft"));
  const head = element("div", "", "told"), words = element("div");
  words.append(
    element("p", entry.name, "soft small"),
    element("p", answer.label, answer.label.length > 6 ? "label long" : "label"),
    element("p", say("sure", { percent: percent(answer.confidence) })),
  );
  head.append(picture(entry), words);
  const parts = [head, ...doubt(answer), element("h3", say("probabilities")), bars(answer.top), ...opinions(answer)];
  const last = looks(entry, explain);
  place.replaceChildren(...parts, last);
  if (held) (last.querySelector("button") ?? last).focus();
}

function picture(entry) {
  const image = element("img", "", "shown");
  image.alt = "";
  image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth <= 64));
  image.src = entry.url;
  return image;
}

function doubt(answer) {
  if (answer.accepted === true) return [];
  if (answer.accepted === null) return [element("p", say("noThreshold"), "soft small")];
  const told = element("p", "", "doubt");
  told.append(element("b", say("notSure")), " ", say("notSureWhy"));
  return [told];
}

function bars(top) {
  const list = element("ul", "", "bars");
  for (const { label, probability } of top) {
    const row = element("li"), bar = element("div", "", "bar"), filled = element("span");
    filled.style.width = `${100 * probability}%`;
    bar.append(filled);
    row.append(element("span", label), bar, element("span", `${percent(probability)} %`));
    list.append(row);
  }
  return list;
}

function opinions(answer) {
  const sides = ["shallow", "deep"].filter((side) => answer[side] !== null);
  if (answer.exited) return [element("p", say("exited"), "soft small")];
  if (sides.length === 0) return [];
  const list = element("dl", "", "sayings");
  for (const side of sides) {
    const { label, confidence } = answer[side], box = element("div");
    box.append(element("dt", say(side)), element("dd", `${label} · ${percent(confidence)} %`));
    list.append(box);
  }
  return [element("h3", say("opinions")), list];
}

function looks(entry, explain) {
  const place = element("div"), found = entry.answer.explanation;
  if (!found) {
    const button = element("button", say(entry.explaining ? "explaining" : "explain"));
    button.type = "button";
    if (entry.explaining) button.setAttribute("aria-disabled", "true"); // disabled, it would lose the focus
    else button.addEventListener("click", explain);
    place.className = "buttons";
    place.append(button);
    if (entry.unexplained) place.append(element("span", reason(entry.unexplained), "error"));
    place.style.marginTop = "1rem";
    return place;
  }
  place.tabIndex = -1;
  const maps = element("div", "", "maps");
  for (const who of ["fused", "shallow", "deep"]) if (found[who]) maps.append(heatMap(who, found));
  const keys = element("p", "", "soft small");
  keys.append(element("span", "", "key for"), say("speaksFor", { label: entry.answer.label }), "  ");
  keys.append(element("span", "", "key against"), say("speaksAgainst"));
  place.append(maps, keys);
  return place;
}

function heatMap(who, found) {
  const { rows, columns } = found, bits = found[who].flat();
  const most = Math.max(...bits.map(Math.abs), 1e-9), best = bits.indexOf(Math.max(...bits));
  const figure = element("figure"), look = element("div", "", "look"), image = element("img"), map = element("canvas");
  image.src = found.image;
  image.alt = say("strongest", {
    who: say(who), rows, columns, row: Math.floor(best / columns) + 1, column: (best % columns) + 1, bits: bits[best],
  });
  map.width = columns;
  map.height = rows;
  map.setAttribute("aria-hidden", "true");
  const context = map.getContext("2d");
  bits.forEach((value, cell) => {
    const [red, green, blue] = value > 0 ? [255, 140, 0] : [40, 120, 255];
    context.fillStyle = `rgb(${red} ${green} ${blue} / ${(0.75 * Math.abs(value)) / most})`;
    context.fillRect(cell % columns, Math.floor(cell / columns), 1, 1);
  });
  look.append(image, map);
  figure.append(look, element("figcaption", say(who)));
  return figure;
}
