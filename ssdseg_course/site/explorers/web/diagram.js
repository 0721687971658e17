// Pieces of the diagrams that stand on the page itself: their colours follow its light or dark theme.
"use strict";
{
const { escaped } = explorerParts.scene;

const SMALL = 13, LARGE = 15; // pixels

function text(x, y, words, { size = SMALL, anchor = "start", fill = "var(--explorer-ink)", weight = "normal" } = {}) {
  return `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" text-anchor="${anchor}" dominant-baseline="central" fill="${fill}">${escaped(words)}</text>`;
}

// A text with a rim of the page's colour, for where lines pass behind it.
const halo = words => words.replace("<text", '<text paint-order="stroke" stroke="var(--explorer-paper)" stroke-width="4"');

function line(x0, y0, x1, y1, { stroke = "var(--explorer-ink)", width = 1, dash = "" } = {}) {
  return `<line x1="${x0}" y1="${y0}" x2="${x1}" y2="${y1}" stroke="${stroke}" stroke-width="${width}" stroke-dasharray="${dash}"/>`;
}

function rect(x, y, width, height, fill, stroke = "var(--explorer-ink)", strokeWidth = 1) {
  return `<rect x="${x}" y="${y}" width="${Math.max(width, 0)}" height="${height}" fill="${fill}" stroke="${stroke}" stroke-width="${strokeWidth}"/>`;
}

function circle(x, y, radius, fill, stroke = "var(--explorer-ink)", strokeWidth = 1) {
  return `<circle cx="${x}" cy="${y}" r="${radius}" fill="${fill}" stroke="${stroke}" stroke-width="${strokeWidth}"/>`;
}

explorerParts.diagram = { SMALL, LARGE, text, halo, line, rect, circle };
}
