// The shuffle explorer: where each channel goes, and which channels know of one of them after some units.
"use strict";
{
const { circle, halo, line, rect, text } = explorerParts.diagram;
const { range } = explorerParts.words;

const CHANNELS = 12, HALF = CHANNELS / 2;
const KNOWS = "#E69F00", WORKED = "#56B4E9"; // orange, sky blue of Okabe and Ito 2008

const order = shuffled => range(CHANNELS).map(place => shuffled ? (place % 2) * HALF + Math.floor(place / 2) : place);

// Which channels know of one: in the input, and after each unit.
function spread(channel, units, shuffled) {
  const rows = [range(CHANNELS).map(place => place === channel)];
  for (let unit = 0; unit < units; unit++) {
    const knows = rows.at(-1), worked = knows.slice(HALF).some(Boolean), after = [...knows.slice(0, HALF), ...new Array(HALF).fill(worked)];
    rows.push(order(shuffled).map(place => after[place]));
  }
  return rows;
}

function view({ channel, units, shuffled }, _, width) {
  const rows = spread(channel, units, shuffled), cell = width / CHANNELS, side = Math.min(cell - 4, 34), high = side + 46, top = 24;
  const middle = place => cell * (place + 0.5);
  let lines = text(0, 8, "passes as it is") + text(width, 8, "worked on, all from all", { anchor: "end" });
  rows.forEach((knows, number) => {
    const y = top + high * number + 18;
    if (number < units) order(shuffled).forEach((source, to) => {
      const worked = source >= HALF;
      lines += line(middle(source), y + side, middle(to), y + high, { stroke: worked ? "var(--explorer-worked)" : "var(--explorer-line)", width: 2, dash: worked ? "6 4" : "" });
    });
  });
  rows.forEach((knows, number) => {
    const y = top + high * number + 18;
    lines += halo(text(0, y - 10, number ? `after unit ${number}` : "input"));
    knows.forEach((it, place) => {
      lines += rect(middle(place) - side / 2, y, side, side, "var(--explorer-paper)");
      if (it) lines += circle(middle(place), y + side / 2, side / 2 - 2, KNOWS, "#000");
      lines += text(middle(place), y + side / 2, place, { anchor: "middle", fill: it ? "#000" : undefined });
    });
  });
  lines += line(width / 2, 18, width / 2, top + high * units + side + 24, { width: 2 });
  const counts = rows.map(knows => knows.filter(Boolean).length), last = counts.at(-1);
  const said = counts.slice(1).map((count, k) => `after unit ${k + 1}: ${count}`).join("; ");
  const verdict = last === CHANNELS ? "All of them know of it."
    : shuffled ? `${CHANNELS - last} do not know of it yet.` : "Without a shuffle the halves never learn of each other.";
  return {
    lines,
    height: top + high * units + side + 28,
    words: `${CHANNELS} channels, ${shuffled ? "with" : "without"} a shuffle after each unit. Channels that know of channel ${channel}, marked by a filled disc, in the input: 1; ${said || "no unit yet"}. ${verdict}`,
  };
}

explorerParts.shuffle = { view };
}
