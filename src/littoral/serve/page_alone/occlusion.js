// Where an answer looks: places of the image are covered one after the other, and the model is asked again each time.
//
// The method is that of `studies/occlusion.py`; there is what it rests on.

import { pixelsOf } from "./pixels.js";

const CELLS = 10; // places along the longer side; each is covered by a square twice as wide as their distance
const LEAST = 1e-30; // probabilities below it are taken for it
const AT_ONCE = 8; // images in one call of the model: between calls the page can be used
const LARGER = 2; // times the model's longer side to which larger images are brought first: each place is a call

const OUTPUTS = { fused: "probabilities", shallow: "shallow_probabilities", deep: "deep_probabilities" };

/**
 * Bits of evidence for class `label` that are lost when a place of the image is covered, in the form of the server's
 * answer. `spec`: the form of the model's images; `run`: its outputs for uint8 pixels and their dimensions.
 */
export async function explanation(image, label, spec, run) {
  const pixels = await pixelsOf(image, LARGER * Math.max(spec.height, spec.width));
  const { rgb, height, width } = pixels;
  const cell = Math.max(1, Math.max(height, width) / CELLS);
  const rows = Math.max(1, Math.round(height / cell)), columns = Math.max(1, Math.round(width / cell));
  const border = borderMean(pixels);
  const bits = { fused: [], shallow: [], deep: [] };
  const places = rows * columns;
  for (let start = -1; start < places; start += AT_ONCE) { // place -1: nothing is covered
    const count = Math.min(AT_ONCE, places - start);
    const some = new Uint8Array(count * rgb.length);
    for (let number = 0; number < count; number += 1) {
      const one = some.subarray(number * rgb.length, (number + 1) * rgb.length), place = start + number;
      one.set(rgb);
      if (place < 0) continue;
      const [top, bottom] = reach(Math.floor(place / columns), rows, height);
      const [left, right] = reach(place % columns, columns, width);
      for (let y = top; y < bottom; y += 1)
        for (let x = left; x < right; x += 1) one.set(border, 3 * (y * width + x));
    }
    const outputs = await run(some, [count, height, width, 3]);
    for (const [name, output] of Object.entries(OUTPUTS))
      if (outputs[output]) bits[name].push(...evidence(outputs[output], label));
    await new Promise((go) => setTimeout(go));
  }
  const lost = (found) => Array.from({ length: rows }, (_, row) =>
    found.slice(1 + row * columns, 1 + (row + 1) * columns).map((value) => Math.round(100 * (found[0] - value)) / 100));
  const maps = Object.fromEntries(Object.entries(bits).map(([name, found]) => [name, found.length ? lost(found) : null]));
  return { rows, columns, image: pixels.canvas.toDataURL(), ...maps };
}

/** log2(p / (1 - p)) of the class `label` for each image; 1 - p is added up from the others, so that it does not vanish. */
function evidence({ data, dims: [images, classes] }, label) {
  return Array.from({ length: images }, (_, image) => {
    const shares = data.subarray(image * classes, (image + 1) * classes);
    const others = shares.reduce((sum, share, number) => (number === label ? sum : sum + share), 0);
    return Math.log2(Math.max(shares[label], LEAST) / Math.max(others, LEAST));
  });
}

/** First and last-but-one pixel that are covered for place `number`: two cells around its middle. */
function reach(number, of, side) {
  const cell = side / of;
  return [Math.max(0, Math.round((number - 0.5) * cell)), Math.min(side, Math.round((number + 1.5) * cell))];
}

/** The mean colour of the outermost rows and columns. */
function borderMean({ rgb, height, width }) {
  const sums = [0, 0, 0];
  const add = (y, x) => sums.forEach((_, channel) => (sums[channel] += rgb[3 * (y * width + x) + channel]));
  for (let x = 0; x < width; x += 1) for (const y of [0, height - 1]) add(y, x);
  for (let y = 0; y < height; y += 1) for (const x of [0, width - 1]) add(y, x);
  return sums.map((sum) => Math.round(sum / (2 * (height + width))));
}
