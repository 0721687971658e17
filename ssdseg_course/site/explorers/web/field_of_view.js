// The field-of-view explorer: where the nine taps of an atrous convolution fall, on maps of several sizes.
"use strict";
{
const { circle, line, rect, text } = explorerParts.diagram;
const { even, fixed, percent, range, sum } = explorerParts.words;

const DATA = "field_of_view";

const INSIDE = "#E69F00", LEAST_RADIUS = 6, STEPS = [-1, 0, 1];

function view({ rate, map_size: name, row: down, col: right }, data, width) {
  const [rows, cols] = data.maps[name], row = even(down * (rows - 1)), col = even(right * (cols - 1));
  const height = Math.max(260, Math.round(0.67 * width)); // room for every tap of every place
  const cell = Math.min((width - 16) / (cols + 2 * rate), (height - 16) / (rows + 2 * rate));
  const left = (width - cell * cols) / 2, top = (height - cell * rows) / 2;
  const middle = (y, x) => [left + (x + 0.5) * cell, top + (y + 0.5) * cell];
  const places = STEPS.flatMap(y => STEPS.map(x => [row + y * rate, col + x * rate]));
  const inside = ([y, x]) => y >= 0 && y < rows && x >= 0 && x < cols, radius = Math.max(0.4 * cell, LEAST_RADIUS);
  const paths = [...range(cols + 1).map(k => `M${left + k * cell} ${top}v${rows * cell}`), ...range(rows + 1).map(k => `M${left} ${top + k * cell}h${cols * cell}`)];
  let lines = rect(0, 0, width, height, "var(--explorer-beside)", "none") + rect(left, top, cols * cell, rows * cell, "var(--explorer-paper)", "var(--explorer-ink)", 2)
    + `<path d="${paths.join("")}" stroke="var(--explorer-grid)" fill="none"/>`;
  for (const place of places) lines += line(...middle(row, col), ...middle(...place), { stroke: inside(place) ? "var(--explorer-worked)" : "var(--explorer-line)", width: 2 });
  for (const place of places) {
    lines += circle(...middle(...place), radius, inside(place) ? INSIDE : "var(--explorer-paper)", "var(--explorer-ink)", inside(place) ? 1.5 : 1);
    if (!inside(place)) lines += text(...middle(...place), "0", { anchor: "middle", size: 1.5 * radius });
  }
  const [x, y] = middle(row, col), arm = 0.6 * radius;
  lines += line(x - arm, y, x + arm, y, { width: 2, stroke: "#000" }) + line(x, y - arm, x, y + arm, { width: 2, stroke: "#000" });

  const along = side => range(side).map(place => STEPS.filter(step => place + step * rate >= 0 && place + step * rate < side).length);
  const counts = along(rows).flatMap(a => along(cols).map(b => a * b)), here = places.filter(inside).length, span = 2 * rate + 1;
  return {
    lines,
    height,
    words: `A 3 × 3 kernel with rate ${rate} spans ${span} × ${span} places; the map, in white, has ${rows} × ${cols}. For the place with the cross, row ${row}, column ${col}, `
      + `${here} of its 9 taps fall on the map, marked by orange discs; the other ${9 - here} fall outside it and see zeros. Over all places ${fixed(sum(counts) / counts.length, 1)} taps fall on the map on average, `
      + `and for ${percent(counts.filter(count => count === 1).length / counts.length)} of the places the middle one alone does, which makes it a 1 × 1 kernel.`,
  };
}

explorerParts.field_of_view = { DATA, view };
}
