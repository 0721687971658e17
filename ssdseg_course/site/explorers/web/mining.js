// The mining explorer: which anchors without a box are hardest, and how many of them count.
"use strict";
{
const { f32 } = explorerParts.boxes;
const { CAUGHT, DASHED, DOTTED, MISSED, Scene } = explorerParts.scene;
const { argmax, fixed, percent, thousands } = explorerParts.words;

const DATA = "network";

function view({ scene: number, ratio, positives: drawn }, data, width) {
  const known = data.scenes[number], scene = new Scene(data.seeds[number], data.image_size, width);
  const positives = known.positives.length, count = Math.max(ratio * positives, data.least_negatives);
  const mined = known.hardest.slice(0, count), hardest = mined.slice(0, data.drawn);
  for (const anchor of mined.slice(data.drawn)) {
    const [xmin, ymin, xmax, ymax] = data.anchors[anchor];
    scene.dot((xmin + xmax) / 2, (ymin + ymax) / 2, MISSED, 4);
  }
  if (drawn) for (const anchor of known.positives) scene.outline(data.anchors[anchor], CAUGHT, 2);
  hardest.map((anchor, k) => [anchor, k]).toReversed().forEach(([anchor, k]) => scene.outline(data.anchors[anchor], MISSED, k ? 1.5 : 2.5, k ? DOTTED : DASHED));
  const guesses = hardest.map((_, k) => {
    const shares = known.shares[k], label = argmax(shares);
    return `${k + 1}: ${data.classes[label]} ${percent(f32(shares[label]))}`;
  });
  hardest.forEach((anchor, k) => scene.write(data.anchors[anchor], guesses[k], MISSED));
  const total = data.anchors.length, near = known.overlaps.slice(0, count).filter(overlap => f32(overlap) >= f32(data.nearly)).length;
  const listed = guesses.map((guess, k) => `${guess}, IoU with a box ${fixed(f32(known.overlaps[k]), 2)}`).join("; ");
  return scene.seen(
    `Scene ${number}: ${positives} of ${thousands(total)} anchors have a box${drawn ? ", solid" : ""}; their class losses add up to ${fixed(f32(known.positive_loss), 1)}. The other `
    + `${thousands(total - positives)} together have ${fixed(f32(known.negative_loss), 1)}. With ${ratio} per positive, at least ${data.least_negatives}, `
    + `${mined.length} are mined. They have ${fixed(f32(known.mined_losses[ratio]), 1)}, and the least hard of them ${fixed(f32(known.losses[mined.length - 1]), 2)}. `
    + `${near} of them overlap a box by an IoU of ${data.nearly} or more, too little to get it. `
    + `The hardest, with what they are taken for: ${listed}. Of the others a disc in the middle.`);
}

explorerParts.mining = { DATA, view };
}
