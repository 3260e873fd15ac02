"""What the pages of studies have beside the style of all pages, and a script: a click on a confusion shows its images.

The script makes elements and sets their text; it puts no text into markup, asks nobody for anything and keeps nothing.
"""

from __future__ import annotations

STYLE = """
:root { --good: #1a7f37; --bad: #b3401f; --c0: #0b6e8f; --c1: #b3401f; --c2: #6b4fb3; --c3: #3d7a1f; --c4: #a03079;
  --c5: #6f6414; }
@media (prefers-color-scheme: dark) {
  :root { --good: #57c773; --bad: #ff9470; --c0: #5cc3e6; --c1: #ff9470; --c2: #b39df0; --c3: #8fd06a; --c4: #ef8fcd;
    --c5: #d6c75a; }
}
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
.verdict { font-size: 1.2rem; line-height: 1.4; border-left: .3rem solid var(--mark); padding: .25rem 0 .25rem .9rem;
  margin: 1rem 0; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: 0; margin: 1rem 0; }
nav a { display: inline-block; padding: .15rem 0; }
a:focus-visible, button:focus-visible, summary:focus-visible, .wide:focus-visible { outline: 3px solid var(--mark);
  outline-offset: 2px; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--ink); margin: .5rem 0; }
svg .small { font-size: 10.5px; fill: var(--soft); }
svg .over { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
svg line, svg polyline { fill: none; stroke: var(--soft); }
svg .grid { stroke: var(--line); }
svg .axis { stroke: var(--soft); }
svg .lead { stroke: var(--soft); stroke-dasharray: 2 2; stroke-width: .8; }
svg .reach { stroke-width: 1.8; stroke: var(--own, var(--ink)); }
svg .curve { stroke-width: 1.8; stroke: var(--own); }
svg .beyond { stroke-dasharray: 5 4; }
svg .band { fill: var(--own); opacity: .13; }
svg .better { stroke: var(--good); } svg .worse { stroke: var(--bad); } svg .open { stroke: var(--soft); }
svg .dot.better { fill: var(--good); } svg .dot.worse { fill: var(--bad); } svg .dot.open { fill: var(--soft); }
svg .mark { fill: var(--own); stroke: var(--paper); stroke-width: .8; }
.c0 { --own: var(--c0); } .c1 { --own: var(--c1); } .c2 { --own: var(--c2); } .c3 { --own: var(--c3); }
.c4 { --own: var(--c4); } .c5 { --own: var(--c5); }
svg .bar { fill: var(--own); opacity: .45; }
.side { display: flex; flex-wrap: wrap; gap: 0 2rem; }
.side > svg, .side > div { flex: 1 1 20rem; min-width: 0; }
.small-ones { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .25rem 1rem; }
.key { display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none; padding: 0; margin: .25rem 0; }
.key li { display: flex; align-items: center; gap: .3rem; }
.key svg { width: 1rem; margin: 0; }
details { margin: .5rem 0; }
summary { cursor: pointer; color: var(--mark); padding: .2rem 0; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
.pictures figure { width: 9.5rem; }
.pictures figcaption { overflow-wrap: anywhere; }
.pic { border: 0; background-color: var(--card); }
.matrices { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; }
.matrices > div { flex: 0 1 auto; min-width: min(22rem, 100%); max-width: 100%; }
.matrix th, .matrix td { padding: 1px; text-align: center; min-width: 0; }
.matrix thead th { border: 0; vertical-align: bottom; }
.matrix tbody th { text-align: right; padding-right: .4rem; white-space: nowrap; color: var(--soft); }
.matrix .tall { writing-mode: vertical-rl; transform: rotate(180deg); padding: .3rem 0; }
.matrix td { color: var(--soft); font-size: .8rem; }
.matrix button { font: inherit; font-size: .8rem; color: var(--ink); border: 1px solid transparent;
  border-radius: .2rem; width: 100%; min-width: 1.75rem; min-height: 1.75rem; padding: 0 .15rem; cursor: pointer;
  background: rgb(from var(--own) r g b / var(--s)); --own: var(--bad); }
.matrix .right { --own: var(--mark); }
.s0 { --s: .06; } .s1 { --s: .14; } .s2 { --s: .24; } .s3 { --s: .36; } .s4 { --s: .48; }
.matrix button:hover, .matrix button[aria-expanded=true] { border-color: var(--ink); }
@media (max-width: 30rem) {
  .matrix td, .matrix button { font-size: .68rem; }
  .matrix button { min-width: 1.5rem; padding: 0; }
}
.wide tbody th:first-child { position: sticky; left: 0; background: var(--paper); }
.behind { margin: .5rem 0 1rem; contain: inline-size; }
.behind:not(:empty) { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; }
.looks { display: flex; flex-wrap: wrap; gap: .75rem 1rem; margin: 0 0 1.25rem; padding: 0; list-style: none; }
.look { position: relative; display: block; width: max-content; }
.look .pic { filter: grayscale(1) contrast(.6); }
.look img { position: absolute; inset: 0; width: 100%; height: 100%; background: none; border: 0; }
.record th, .record td { text-align: left; vertical-align: top; white-space: normal; overflow-wrap: anywhere; }
.record th:first-child { min-width: 6.5rem; color: var(--soft); }
"""

SCRIPT = """
"use strict";
const told = JSON.parse(document.getElementById("cells").textContent);
function element(kind, words, name) {
  const made = document.createElement(kind);
  if (words) made.textContent = words;
  if (name) made.className = name;
  return made;
}
function picture(number, name, note) {
  const figure = element("figure"), shown = element("span", "", "pic"), caption = element("figcaption");
  shown.style.setProperty("--x", number % told.columns);
  shown.style.setProperty("--y", Math.floor(number / told.columns));
  shown.setAttribute("role", "img");
  shown.setAttribute("aria-label", name);
  caption.append(element("b", name), note);
  figure.append(shown, caption);
  return figure;
}
function count(number, noun) {
  return number.toLocaleString("en") + " " + noun + (number === 1 ? "" : "s");
}
function show(matrix, panel, button, cell, label, called) {
  const open = button.getAttribute("aria-expanded") === "true";
  for (const other of matrix.querySelectorAll("button")) other.setAttribute("aria-expanded", "false");
  panel.replaceChildren();
  if (open) return;
  button.setAttribute("aria-expanded", "true");
  const [images, kept] = cell, pictures = element("div", "", "pictures");
  const words = count(images, "image") + " of “" + label + "” called “" + called + "” by " + matrix.dataset.arm;
  const more = kept.length < images ? "; pictures of " + kept.length + " were kept." : ".";
  pictures.append(...kept.map(([number, runs, of, sure]) =>
    picture(number, told.names[number], runs + " of " + count(of, "seed") + ", " + sure + " %")));
  panel.append(element("p", words + more), pictures);
}
document.querySelectorAll(".matrix").forEach((matrix, number) => {
  const panel = document.getElementById("behind-" + number);
  matrix.querySelectorAll("tbody tr").forEach((row, down) => [...row.cells].slice(1).forEach((place, across) => {
    const button = place.querySelector("button");
    if (!button) return;
    const label = told.classes[down], called = told.classes[across];
    button.setAttribute("aria-label", label + " called " + called + ": " + button.textContent);
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-controls", panel.id);
    const cell = told.arms[number][down + "," + across];
    button.addEventListener("click", () => show(matrix, panel, button, cell, label, called));
  }));
});
"""
