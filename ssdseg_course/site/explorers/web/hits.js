// The hits explorer: what the network finds in a scene, where it raises a false alarm, and what it misses.
"use strict";
{
const { f32 } = explorerParts.boxes;
const { ALARM, CAUGHT, DASHED, DOTTED, MISSED, Scene } = explorerParts.scene;
const { fixed, range } = explorerParts.words;

const DATA = "detections";

const alarms = count => `${count} false alarm${count === 1 ? "" : "s"}`;

function view({ scene: number, least_score: least }, data, width) {
  const { truth, boxes, labels, scores, taken } = data.scenes[number];
  const scene = new Scene(data.seeds[number], data.image_size, width), counts = [0, 0, 0], said = [];
  data.classes.forEach((name, place) => {
    const label = place + 1, rows = range(boxes.length).filter(k => labels[k] === label && f32(scores[k]) >= f32(least));
    const found = rows.filter(k => taken[k] >= 0), wrong = rows.filter(k => taken[k] < 0), given = new Set(found.map(k => taken[k]));
    const missed = range(truth.boxes.length).filter(k => truth.labels[k] === label && !given.has(k));
    const groups = [[found.map(k => boxes[k]), CAUGHT, "", ""], [wrong.map(k => boxes[k]), ALARM, DOTTED, "?"], [missed.map(k => truth.boxes[k]), MISSED, DASHED, " missed"]];
    for (const [group, colour, dash, mark] of groups) {
      for (const box of group) {
        scene.outline(box, colour, 2, dash);
        scene.write(box, name + mark, colour);
      }
    }
    groups.forEach(([group], k) => { counts[k] += group.length; });
    said.push(`${name}: ${found.length} found, ${alarms(wrong.length)}, ${missed.length} missed`);
  });
  return scene.seen(`Scene ${number}, scores of at least ${fixed(least, 2)}: ${counts[0]} found (solid), ${alarms(counts[1])} (dotted), ${counts[2]} missed (dashed). ${said.join("; ")}.`);
}

explorerParts.hits = { DATA, view };
}
