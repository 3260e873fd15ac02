// The drawing board: strokes in white on black, and what the model gets of them, prepared as MNIST's digits were.

const PEN = 22; // pixels of a board of 280, about two of MNIST's 28
const STEP = 10; // pixels by which an arrow key moves the pen

/** Let a person draw on `board`; `changed` is called after each stroke or part of one, with whether anything is drawn. */
export function board(board, changed) {
  const context = board.getContext("2d", { willReadFrequently: true });
  const pen = { x: board.width / 2, y: board.height / 2, down: false };
  let last = null;
  wipe();

  function wipe() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, board.width, board.height);
    context.strokeStyle = "#fff";
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    last = null;
  }
  function place(event) {
    const box = board.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * board.width,
      y: ((event.clientY - box.top) / box.height) * board.height,
    };
  }
  function line(from, to) {
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    changed();
  }
  board.addEventListener("pointerdown", (event) => {
    board.setPointerCapture(event.pointerId);
    last = place(event);
    line(last, last);
  });
  board.addEventListener("pointermove", (event) => {
    if (last === null) return;
    for (const part of event.getCoalescedEvents?.() ?? [event]) {
      const next = place(part);
      line(last, next);
      last = next;
    }
  });
  for (const name of ["pointerup", "pointercancel"]) board.addEventListener(name, () => (last = null));
  board.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === " ") {
      pen.down = !pen.down;
      if (pen.down) line(pen, pen);
    } else if (event.key in moves) {
      const [across, down] = moves[event.key];
      const before = { ...pen };
      pen.x = Math.min(Math.max(pen.x + STEP * across, 0), board.width);
      pen.y = Math.min(Math.max(pen.y + STEP * down, 0), board.height);
      if (pen.down) line(before, pen);
    } else return;
    event.preventDefault();
  });
  return { wipe, ink: () => inkOf(context, board) };
}

/** How much ink each pixel has, 0 to 255, row by row. */
function inkOf(context, board) {
  const colours = context.getImageData(0, 0, board.width, board.height).data;
  return Float64Array.from({ length: board.width * board.height }, (_, pixel) => colours[4 * pixel]);
}

/**
 * Ink as MNIST's digits were prepared (LeCun, Cortes, Burges): scaled in proportion into a box of 20/28 of the side, then
 * laid so that its centre of mass is the middle. `side`: of the square that the ink fills; null where there is no ink.
 */
export function centred(ink, side, height, width) {
  const box = inkedBox(ink, side);
  if (box === null) return null;
  const most = Math.max(1, Math.round((Math.min(height, width) * 20) / 28));
  const scale = Math.max(box.width, box.height) / most;
  const wide = Math.max(1, Math.round(box.width / scale));
  const high = Math.max(1, Math.round(box.height / scale));
  const small = averaged(ink, side, box, high, wide);
  let mass = 0, across = 0, down = 0;
  small.forEach((value, pixel) => {
    mass += value;
    across += value * ((pixel % wide) + 0.5);
    down += value * (Math.floor(pixel / wide) + 0.5);
  });
  const left = Math.min(Math.max(Math.round(width / 2 - across / mass), 0), width - wide);
  const top = Math.min(Math.max(Math.round(height / 2 - down / mass), 0), height - high);
  const result = new Uint8ClampedArray(height * width);
  small.forEach((value, pixel) => {
    result[(top + Math.floor(pixel / wide)) * width + left + (pixel % wide)] = Math.round(value);
  });
  return result;
}

function inkedBox(ink, side) {
  let left = side, right = -1, top = side, bottom = -1;
  ink.forEach((value, pixel) => {
    if (value < 64) return;
    const x = pixel % side, y = Math.floor(pixel / side);
    left = Math.min(left, x), right = Math.max(right, x), top = Math.min(top, y), bottom = Math.max(bottom, y);
  });
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** The part `box` of the ink at another size: each new pixel is the mean of what it covers. */
function averaged(ink, side, box, high, wide) {
  const rows = shares(box.top, box.height, high), columns = shares(box.left, box.width, wide);
  return rows.flatMap((row) => columns.map((column) => {
    let sum = 0, weight = 0;
    for (const [y, down] of row) for (const [x, across] of column) {
      sum += ink[y * side + x] * down * across;
      weight += down * across;
    }
    return sum / weight;
  }));
}

/** For each of `count` parts of a stretch: the whole pixels in it, and how much of each. */
function shares(start, length, count) {
  return Array.from({ length: count }, (_, number) => {
    const from = (number * length) / count, to = ((number + 1) * length) / count, parts = [];
    for (let pixel = Math.floor(from); pixel < Math.ceil(to); pixel += 1)
      parts.push([start + pixel, Math.min(to, pixel + 1) - Math.max(from, pixel)]);
    return parts;
  });
}

/** Grey pixels as a PNG file. */
export function asPng(pixels, height, width) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  pixels.forEach((value, pixel) => image.data.set([value, value, value, 255], 4 * pixel));
  context.putImageData(image, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
