// The suppression explorer: what the two thresholds of NMS keep, drop and never look at.
"use strict";
{
const { f32, suppress, toFloat32 } = explorerParts.boxes;
const { CAUGHT, DOTTED, MISSED, Scene } = explorerParts.scene;
const { fixed, range, thousands } = explorerParts.words;

const DATA = "network";

const MOST_KEPT = 200, MOST_LISTED = 8;

function view({ scene: number, label, iou_threshold: highest, score_threshold: least }, data, width) {
  const candidates = data.scenes[number].candidates[label - 1], boxes = toFloat32(candidates.boxes), scores = candidates.scores.map(f32);
  const scene = new Scene(data.seeds[number], data.image_size, width);
  const part = range(boxes.length).filter(k => scores[k] >= f32(least));
  const kept = suppress(boxes, scores, highest, least, MOST_KEPT);
  for (const k of part.filter(k => !kept.includes(k))) scene.outline(boxes[k], MISSED, 1.5, DOTTED);
  for (const k of kept.toReversed()) scene.outline(boxes[k], CAUGHT, 2.5);
  for (const k of kept.toReversed()) scene.write(boxes[k], fixed(scores[k], 2), CAUGHT);
  const listed = kept.slice(0, MOST_LISTED).map(k => fixed(scores[k], 2)).join(", ") + (kept.length > MOST_LISTED ? ", ..." : "");
  return scene.seen(
    `Scene ${number}, ${data.classes[label - 1]}: of ${thousands(data.anchors.length)} boxes ${part.length} have a score of at least ${fixed(least, 2)}. `
    + `Kept, solid: ${kept.length}${kept.length ? ` with the scores ${listed}` : ""}. Suppressed, dotted: ${part.length - kept.length}, each overlapping a better one by an IoU over ${fixed(highest, 2)}.`);
}

explorerParts.suppression = { DATA, view };
}
