// A scene to draw on, with a margin for boxes that reach over its border. Lines differ in style and not in colour alone.
"use strict";
{
const INK = "#000000", PAPER = "#FFFFFF"; // on a scene, in light and dark alike
const CELL = "#F0E442", CAUGHT = "#E69F00", MISSED = "#56B4E9", ALARM = "#F0E442"; // of Okabe and Ito 2008
const DASHED = "9 4", DOTTED = "2.5 3.5";
const FONT = 13, FAMILY = "system-ui, sans-serif"; // pixels

const pen = document.createElement("canvas").getContext("2d");
pen.font = `${FONT}px ${FAMILY}`;

const escaped = words => String(words).replaceAll("&", "&amp;").replaceAll("<", "&lt;");

class Scene {
  lines = "";
  #written = [];

  constructor(seed, [height, width], whole) {
    this.whole = whole;
    this.margin = Math.round(32 / 736 * whole);
    this.width = whole - 2 * this.margin;
    this.tall = this.width * height / width;
    this.height = this.tall + 2 * this.margin;
    this.images = [{ href: `scenes/${seed}.webp`, ...this.frame }];
    this.lines += `<rect width="${whole}" height="${this.height}" fill="none" stroke="#444444" stroke-width="${2 * this.margin}"/>`;
  }

  get frame() {
    return { x: this.margin, y: this.margin, width: this.width, height: this.tall };
  }

  place(x, y) { return [this.margin + this.width * x, this.margin + this.tall * y]; }

  grid(rows, cols, cell) {
    const col = cell % cols, row = Math.floor(cell / cols), [x, y] = this.place(col / cols, row / rows);
    this.lines += `<rect x="${x}" y="${y}" width="${this.width / cols}" height="${this.tall / rows}" fill="${CELL}" fill-opacity="0.63"/>`;
    const paths = [];
    for (let k = 0; k <= cols; k++) paths.push(`M${this.place(k / cols, 0)}V${this.place(0, 1)[1]}`);
    for (let k = 0; k <= rows; k++) paths.push(`M${this.place(0, k / rows)}H${this.place(1, 0)[0]}`);
    this.lines += `<path d="${paths.join("")}" stroke="${PAPER}" stroke-opacity="0.5" fill="none"/>`;
  }

  outline([xmin, ymin, xmax, ymax], colour, width, dash = "") {
    const [left, top] = this.place(xmin, ymin), [right, bottom] = this.place(xmax, ymax);
    const shape = `d="M${left} ${top}H${right}V${bottom}H${left}Z" fill="none" stroke-dasharray="${dash}"`;
    this.lines += `<path ${shape} stroke="${INK}" stroke-width="${width + 2}"/><path ${shape} stroke="${colour}" stroke-width="${width}"/>`;
  }

  dot(x, y, colour, radius) {
    const [cx, cy] = this.place(x, y);
    this.lines += `<circle cx="${cx}" cy="${cy}" r="${radius}" fill="${colour}" stroke="${INK}"/>`;
  }

  // Words over the upper left corner of a box, or below words that stand there.
  write(box, words, colour) {
    const width = pen.measureText(words).width + 8, height = FONT + 6;
    let [left, top] = this.place(Math.max(box[0], 0), Math.max(box[1], 0));
    left = Math.max(0, Math.min(left, this.whole - width - 1));
    top = Math.max(top - height, 1);
    const taken = () => this.#written.some(([x, y, w, h]) => left < x + w && x < left + width && top < y + h && y < top + height);
    const start = top;
    while (taken() && top < this.height - height) top += 1;
    if (taken()) top = start; // nowhere below it is room
    this.#written.push([left, top, width, height]);
    this.lines += `<rect x="${left}" y="${top}" width="${width}" height="${height}" fill="${colour}" stroke="${INK}"/>`
      + `<text x="${left + 4}" y="${top + height / 2}" font-size="${FONT}" font-family="${FAMILY}" dominant-baseline="central" fill="${INK}">${escaped(words)}</text>`;
  }

  seen(words) {
    const { images, lines, height } = this;
    return { images, lines, height, words };
  }
}

explorerParts.scene = { INK, PAPER, CELL, CAUGHT, MISSED, ALARM, DASHED, DOTTED, escaped, Scene };
}
