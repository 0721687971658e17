// Boxes in float32, step by step as ssdseg_ref computes, so that the numbers are the same to the last bit.
// A box is [xmin, ymin, xmax, ymax] in fractions of the image.
"use strict";
{
const { argmax, range } = explorerParts.words;

const f = Math.fround;
const f32 = f;

const toFloat32 = boxes => boxes.map(box => box.map(f));

function gridCenters(rows, cols) {
  return range(rows * cols).map(cell => [f((cell % cols + 0.5) / cols), f((Math.floor(cell / cols) + 0.5) / rows)]);
}

function anchorSizes(scale, nextScale, ratios, [height, width]) {
  const short = Math.min(height, width);
  return [...ratios.map(ratio => [scale, ratio]), [Math.sqrt(scale * nextScale), 1]].map(([side, ratio]) => {
    const root = Math.sqrt(ratio);
    return [f(short * side * root / width), f(short * side / root / height)];
  });
}

function mapAnchors(rows, cols, scale, nextScale, ratios, imageSize) {
  const sizes = anchorSizes(scale, nextScale, ratios, imageSize);
  return gridCenters(rows, cols).flatMap(([x, y]) =>
    sizes.map(([w, h]) => [f(x - w / 2), f(y - h / 2), f(x + w / 2), f(y + h / 2)]));
}

const area = box => f(Math.max(f(box[2] - box[0]), 0) * Math.max(f(box[3] - box[1]), 0));

function iou(a, b) {
  const width = Math.max(f(Math.min(a[2], b[2]) - Math.max(a[0], b[0])), 0);
  const height = Math.max(f(Math.min(a[3], b[3]) - Math.max(a[1], b[1])), 0);
  const intersection = f(width * height), union = f(f(area(a) + area(b)) - intersection);
  return union > 0 ? f(intersection / union) : intersection;
}

const pairwiseIou = (some, others) => some.map(a => others.map(b => iou(a, b)));

// Liu et al. 2016, section 2.2: first every box gets an anchor of its own, greedily, then the free anchors take boxes.
function matchAnchors(overlaps, anchorCount, threshold) {
  const least = f(threshold), matches = new Array(anchorCount).fill(-1), table = overlaps.map(row => row.slice());
  if (!table.length) return matches;
  for (let anchor = 0; anchor < anchorCount; anchor++) {
    const column = table.map(row => row[anchor]), box = argmax(column);
    if (column[box] >= least) matches[anchor] = box;
  }
  const bestAnchor = table.map(argmax), best = table.map((row, box) => row[bestAnchor[box]]);
  for (let turn = 0; turn < table.length; turn++) {
    const box = argmax(best);
    if (best[box] <= 0) break;
    const anchor = bestAnchor[box];
    matches[anchor] = box;
    for (const row of table) row[anchor] = -1;
    best[box] = -1;
    for (let loser = 0; loser < table.length; loser++) {
      if (bestAnchor[loser] === anchor && best[loser] > 0) {
        bestAnchor[loser] = argmax(table[loser]);
        best[loser] = table[loser][bestAnchor[loser]];
      }
    }
  }
  return matches;
}

// The best box stays, those that overlap it by more than the threshold go, and so on with the next.
function suppress(boxes, scores, iouThreshold, scoreThreshold, most) {
  const least = f(scoreThreshold), highest = f(iouThreshold), kept = [];
  let candidates = range(boxes.length).filter(k => scores[k] >= least).sort((a, b) => scores[b] - scores[a]);
  while (candidates.length && kept.length < most) {
    const [best, ...rest] = candidates;
    kept.push(best);
    candidates = rest.filter(k => iou(boxes[best], boxes[k]) <= highest);
  }
  return kept;
}

explorerParts.boxes = { f32, toFloat32, gridCenters, anchorSizes, mapAnchors, iou, pairwiseIou, matchAnchors, suppress };
}
