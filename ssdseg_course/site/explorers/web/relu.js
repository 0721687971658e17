// The ReLU explorer: what is left of a flat figure that goes through a ReLU in n dimensions and comes back.
// After figure 1 of Sandler et al. 2018, "MobileNetV2".
"use strict";
{
const { line, rect, text } = explorerParts.diagram;
const { fixed, sum } = explorerParts.words;

const DATA = "relu";

// Into n dimensions by a 2 x n matrix, ReLU, and back by its pseudo-inverse, M'(MM')^-1 for rows that are independent.
function through(points, [a, b]) {
  const dot = (u, v) => sum(u.map((value, k) => value * v[k]));
  const aa = dot(a, a), ab = dot(a, b), bb = dot(b, b), det = aa * bb - ab * ab;
  return points.map(([x, y]) => {
    const high = a.map((value, k) => Math.max(x * value + y * b[k], 0)), u = dot(high, a), v = dot(high, b);
    return [(u * bb - v * ab) / det, (v * aa - u * ab) / det];
  });
}

// Mean distance of the points from where they were, enlarged to fit best first.
function distance(points, back) {
  const scale = sum(points.map(([x, y], k) => x * back[k][0] + y * back[k][1])) / Math.max(sum(back.map(([x, y]) => x * x + y * y)), 1e-12);
  return sum(points.map(([x, y], k) => Math.hypot(x - scale * back[k][0], y - scale * back[k][1]))) / points.length;
}

function view({ dimensions, matrix }, data, width) {
  const points = data.spiral, back = through(points, data.matrices[dimensions][matrix]);
  const largest = Math.max(1e-9, ...back.flat().map(Math.abs)), narrow = width < 520;
  const side = narrow ? Math.min(width, 320) : (width - 40) / 2, second = narrow ? [(width - side) / 2, side + 56] : [width - side, 24];
  const first = narrow ? [(width - side) / 2, 24] : [0, 24];
  const lines = spiral(first, side, points, data.colours, "a spiral in 2 dimensions")
    + spiral(second, side, back.map(([x, y]) => [x / largest, y / largest]), data.colours, `back from ${dimensions} dimensions`)
    + (narrow ? "" : line(width / 2 - 12, 24 + side / 2, width / 2 + 8, 24 + side / 2, { width: 3 }) + `<path d="M${width / 2 + 4} ${24 + side / 2 - 7}l10 7l-10 7Z" fill="var(--explorer-ink)"/>`)
    + text(0, second[1] + side + 20, "Inner end: thin, blue. Outer end: thick, yellow.");
  const moved = distance(points, back), mean = data.lost[dimensions];
  const verdict = mean > 0.25 ? "Whole pieces of it are folded or gone."
    : mean < 0.165 ? "It is bent, but hardly anything is lost." : "It is bent out of shape, but mostly there.";
  return {
    lines,
    height: second[1] + side + 32,
    words: `A spiral goes into ${dimensions} dimensions by the random matrix number ${matrix}, through a ReLU, and back. On average its points move by ${fixed(moved, 2)} of its radius; `
      + `over ${data.matrices[dimensions].length} matrices that is ${fixed(mean, 2)}. ${verdict}`,
  };
}

function spiral([left, top], side, points, [start, end], title) {
  const middle = [left + side / 2, top + side / 2], half = 0.46 * side;
  const disc = (fill, rim) => points.map(([x, y], k) => {
    const share = k / (points.length - 1);
    return `<circle cx="${(middle[0] + half * x).toFixed(1)}" cy="${(middle[1] - half * y).toFixed(1)}" r="${(1.5 + 2.5 * share + rim).toFixed(2)}" fill="${fill(share)}"/>`;
  }).join("");
  const colour = share => `rgb(${start.map((from, k) => Math.round(from + share * (end[k] - from))).join(" ")})`;
  return text(left + side / 2, top - 12, title, { anchor: "middle" }) + rect(left + 1, top, side - 2, side, "none", "var(--explorer-grid)")
    + disc(() => "var(--explorer-ink)", 1) + disc(colour, 0); // first all rims: together they are an outline
}

explorerParts.relu = { DATA, view };
}
