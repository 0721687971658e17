// The quantisation explorer: a picture's brightness in a few whole numbers, laid over a range that can be dragged.
"use strict";
{
const { f32 } = explorerParts.boxes;
const { line, rect, text } = explorerParts.diagram;
const { even, fixed, percent, range, sum } = explorerParts.words;

const DATA = "quantization";

const GREY_LEVELS = 255, BINS = 128, CROWDED = 6; // bits: their lines would hide the histogram
const VALUES = "#56B4E9", CUT = "#E69F00";

function view({ high, bits }, { counts, size: [tall, wide] }, width) {
  const least = -(2 ** (bits - 1)), largest = -least - 1, scale = high / (largest - least), zeroPoint = least;
  const values = counts.map((_, shade) => shade / GREY_LEVELS);
  const back = values.map(value => {
    const whole = Math.min(Math.max(even(value / scale) + zeroPoint, least), largest);
    return f32(scale * (whole - zeroPoint));
  });
  const isCut = values.map(value => value > high + scale / 2), pixels = sum(counts);
  const squares = values.map((value, k) => counts[k] * (back[k] - value) ** 2), all = sum(squares);
  const share = sum(squares.filter((_, k) => isCut[k])) / Math.max(all, 1e-12), cut = sum(counts.filter((_, k) => isCut[k])) / pixels;
  const used = new Set(back.filter((_, k) => counts[k])).size, error = Math.sqrt(all / pixels) * GREY_LEVELS;

  const narrow = width < 520, shown = narrow ? width : Math.round(0.5 * width), shownTall = shown * tall / wide;
  const table = back.map(value => even(Math.min(Math.max(value, 0), 1) * GREY_LEVELS) / GREY_LEVELS).join(" ");
  const left = narrow ? 2 : shown + 20, top = narrow ? shownTall + 56 : 24, axisTall = narrow ? 160 : shownTall - 20;
  const channels = ["R", "G", "B"].map(name => `<feFunc${name} type="discrete" tableValues="${table}"/>`).join("");
  const lines = `<defs><filter id="explorer-quantization-levels" color-interpolation-filters="sRGB" x="0" y="0" width="100%" height="100%"><feComponentTransfer>${channels}</feComponentTransfer></filter></defs>`
    + text(0, 10, `the picture in ${bits} bits, 0 to ${high}`) + histogram(left, top, width - 2 - left, axisTall, counts, high, bits, scale);
  return {
    images: [{ href: "scenes/brightness.webp", x: 0, y: 24, width: shown, height: shownTall, filter: "url(#explorer-quantization-levels)" }],
    lines,
    height: top + axisTall + 30,
    words: `A drawn warehouse in shades of grey, its brightness between 0 and 1, kept in ${bits} bits over a range from 0 to ${high}. The scale is ${fixed(scale, 4)} and the zero point ${zeroPoint}; `
      + `${used} of the ${2 ** bits} whole numbers are in use. ${percent(cut, 1)} of the pixels are cut off at the top. The error is ${fixed(error, 2)} of ${GREY_LEVELS} grey levels, as the root of its mean square; `
      + `of that square ${percent(1 - share)} comes from rounding and ${percent(share)} from what is cut off.`,
  };
}

// How many pixels have which value; the levels that are kept as lines; what is cut off in another colour.
function histogram(left, top, wide, tall, counts, high, bits, scale) {
  const bins = new Array(BINS).fill(0), bottom = top + tall, place = value => left + wide * value;
  counts.forEach((count, shade) => { bins[Math.min(Math.floor(shade / GREY_LEVELS * BINS), BINS - 1)] += count; });
  const most = Math.max(...bins);
  return text(left, top - 14, "its values, and the levels that are left")
    + bins.map((count, k) => {
      const high_ = Math.sqrt(count / most) * tall; // the root, or rare values are not seen
      return rect(place(k / BINS), bottom - high_, wide / BINS, high_, (k + 0.5) / BINS > high + scale / 2 ? CUT : VALUES, "none");
    }).join("")
    + range(2 ** bits).filter(level => level * scale <= 1).map(level => {
      const x = place(level * scale), few = bits < CROWDED;
      return line(x, few ? top : bottom, x, bottom + 6, { stroke: "var(--explorer-level)", width: few ? 2 : 1 });
    }).join("")
    + line(left, bottom, left + wide, bottom, { width: 2 })
    + text(left, bottom + 18, "0") + text(place(0.5), bottom + 18, "0.5", { anchor: "middle" }) + text(left + wide, bottom + 18, "1", { anchor: "end" });
}

explorerParts.quantization = { DATA, view };
}
