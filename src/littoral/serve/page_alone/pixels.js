// An image file -> its pixels as this browser decodes it: upright, over white, without a change of colours.
//
// The model's own graph takes grey from them and brings them to its size, as littoral's decoder does.

import { NoAnswer } from "./no_answer.js";

const MOST = 25_000_000; // pixels of an image, as the server has it

/** `rgb` (uint8, height × width × 3, row by row), `height`, `width` and `canvas`; scaled to at most `longest` a side. */
export async function pixelsOf(image, longest = Infinity) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(image, { colorSpaceConversion: "none" });
  } catch {
    throw new NoAnswer("refused", "is not an image file that this browser can read, or is cut short");
  }
  if (bitmap.width * bitmap.height > MOST) {
    const size = `${bitmap.height}×${bitmap.width}`;
    throw new NoAnswer("refused", `has ${size} pixels, more than the limit of ${MOST.toLocaleString("en")}`);
  }
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(scale * side)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const rgb = new Uint8Array(3 * width * height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    rgb[3 * pixel] = data[4 * pixel];
    rgb[3 * pixel + 1] = data[4 * pixel + 1];
    rgb[3 * pixel + 2] = data[4 * pixel + 2];
  }
  return { rgb, height, width, canvas };
}
