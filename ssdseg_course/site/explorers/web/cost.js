// The cost explorer: what a standard and a separable convolution cost, for any kernel, number of channels and map.
"use strict";
{
const { circle, halo, LARGE, line, rect, text } = explorerParts.diagram;
const { fixed, percent, range, thousands } = explorerParts.words;

const DATA = "cost";

const STANDARD = "#0072B2", SEPARABLE = "#E69F00", DEPTHWISE = "#56B4E9"; // blue, orange, sky blue of Okabe and Ito 2008
const GRID = "var(--explorer-grid)", EDGE = 14;

function view({ kernel_size: k, in_channels: inputs, out_channels: outputs, size: [rows, cols] }, data, width) {
  const [standard, depthwise, pointwise] = data.parameters[`${k} ${inputs} ${outputs}`], separable = depthwise + pointwise;
  const places = rows * cols, saving = standard / separable, share = depthwise / separable;
  const factor = saving > 1 ? `${fixed(saving, 1)} times fewer` : `${percent(1 / saving - 1, 1)} more`;
  const lines = `<defs>
    <pattern id="explorer-cost-dots" width="7" height="7" patternUnits="userSpaceOnUse"><rect width="7" height="7" fill="${DEPTHWISE}"/><circle cx="3.5" cy="3.5" r="1.2" fill="#000"/></pattern>
    <pattern id="explorer-cost-stripes" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="7" height="7" fill="${SEPARABLE}"/><path d="M0 0V7" stroke="#000" stroke-width="1.5"/></pattern></defs>`
    + axis(0, "parameters", 1, 8, standard, separable, factor, width)
    + axis(140, "multiply-adds", 3, 12, standard * places, separable * places, factor, width)
    + bars(285, 1 / saving, share, width);
  const parts = `1/${outputs} + 1/${k ** 2}`, reason = saving > 1 ? `the inverse of ${parts}` : `for ${parts} is more than 1`;
  const words = `A kernel of ${k} × ${k}, ${inputs} channels in, ${outputs} out, on a map of ${rows} × ${cols} = ${thousands(places)} pixels. `
    + `Standard: ${thousands(standard)} parameters, ${thousands(standard * places)} multiply-adds. Separable: ${thousands(depthwise)} parameters in the depthwise step and `
    + `${thousands(pointwise)} in the pointwise one make ${thousands(separable)}, with ${thousands(separable * places)} multiply-adds: ${factor}, ${reason}. `
    + `Of that price the depthwise step takes ${percent(share, 1)} and the pointwise step ${percent(1 - share, 1)}.`;
  return { lines, height: saving > 1 ? 500 : 430, words };
}

// Both numbers on an axis from 10^first to 10^last, and how far they are apart.
function axis(top, name, first, last, standard, separable, factor, width) {
  const place = number => EDGE + (Math.log10(number) - first) / (last - first) * (width - 2 * EDGE);
  const upper = top + 44, lower = top + 82, bottom = top + 96, there = place(standard), here = place(separable);
  const label = (x, y, words) => text(Math.max(4, Math.min(x - 40, width - 8.2 * words.length)), y - 17, words);
  return text(0, top + 10, name, { size: LARGE, weight: "bold" })
    + range(last - first + 1).map(n => {
      const x = place(10 ** (first + n)), anchor = n === 0 ? "start" : n === last - first ? "end" : "middle";
      return line(x, top + 34, x, bottom, { stroke: GRID })
        + (n % 2 && width < 500 ? "" : text(n === 0 ? 0 : n === last - first ? width : x, bottom + 12, power(first + n), { anchor }));
    }).join("")
    + line(EDGE, upper, width - EDGE, upper, { stroke: GRID }) + line(EDGE, lower, width - EDGE, lower, { stroke: GRID })
    + line(there, upper, there, lower, { dash: "2 3" }) + line(here, lower, there, lower, { width: 2 })
    + circle(there, upper, 7, STANDARD) + `<path d="M${here - 8} ${lower}l8 -8l8 8l-8 8Z" fill="${SEPARABLE}" stroke="var(--explorer-ink)"/>`
    + halo(label(there, upper, `standard ${thousands(standard)}`))
    + halo(label(here, lower, `separable ${thousands(separable)}, ${factor}`));
}

// The standard price as a bar, the separable one on the same scale, and its two steps; enlarged, if it is less.
function bars(top, price, share, width) {
  const unit = (width - 2) / Math.max(price, 1), end = unit * price;
  const parts = (y, tall, whole) => rect(1, y, whole * share, tall, "url(#explorer-cost-dots)") + rect(1 + whole * share, y, whole * (1 - share), tall, "url(#explorer-cost-stripes)");
  const named = y => text(0, y, `depthwise ${percent(share, 1)} (dots)`) + text(width, y, `pointwise ${percent(1 - share, 1)} (stripes)`, { anchor: "end" });
  const drawn = text(0, top, "the price of both", { size: LARGE, weight: "bold" })
    + text(0, top + 24, "standard 100.0%") + rect(1, top + 34, unit, 18, STANDARD)
    + text(0, top + 68, `separable ${percent(price, 1)}`) + parts(top + 78, 18, end);
  if (price >= 1) return drawn + named(top + 112);
  return drawn
    + line(1, top + 96, 1, top + 140, { dash: "2 3" }) + line(1 + end, top + 96, width - 1, top + 140, { dash: "2 3" })
    + halo(text(8, top + 126, "the same, enlarged")) + parts(top + 140, 24, width - 2) + named(top + 180);
}

// 10^4 as "10 k", 10^6 as "1 M".
function power(exponent) {
  return `${10 ** (exponent % 3)} ${["", "k", "M", "G", "T"][Math.floor(exponent / 3)]}`.trim();
}

explorerParts.cost = { DATA, view };
}
