// The prediction explorer: what the finished network sees in a scene.
"use strict";
{
const { f32 } = explorerParts.boxes;
const { DASHED, DOTTED, Scene } = explorerParts.scene;
const { fixed, percent, range } = explorerParts.words;

const DATA = "detections";

const LINES = ["", DASHED, DOTTED]; // one a class, so that colour is never the only sign

function view({ scene: number, least_score: least }, data, width) {
  const found = data.scenes[number], seed = data.seeds[number], scene = new Scene(seed, data.image_size, width);
  const sure = range(found.scores.length).filter(k => f32(found.scores[k]) >= f32(least));
  const names = sure.map(k => `${data.classes[found.labels[k] - 1]} ${fixed(f32(found.scores[k]), 2)}`);
  scene.images.push({ href: `scenes/mask-${seed}.png`, ...scene.frame, opacity: data.mask_opacity });
  sure.toReversed().forEach(k => scene.outline(found.boxes[k], data.colours[found.labels[k] - 1], 2, LINES[found.labels[k] - 1]));
  sure.forEach((k, n) => scene.write(found.boxes[k], names[n], data.colours[found.labels[k] - 1]));
  const more = names.length > data.most_named ? [`and ${names.length - data.most_named} more`] : [];
  const parts = data.classes.map((name, k) => [name, found.shares[k]]).filter(([, share]) => share >= data.least_share);
  return scene.seen(
    `Scene ${number}. Boxes with a score of at least ${fixed(least, 2)}: ${[...names.slice(0, data.most_named), ...more].join(", ") || "none"}. `
    + `Share of the pixels by class: ${parts.map(([name, share]) => `${name} ${percent(share, 1)}`).join(", ") || "all background"}.`);
}

explorerParts.prediction = { DATA, view };
}
