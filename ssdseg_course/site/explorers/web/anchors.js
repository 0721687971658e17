// The anchor explorer: the anchors of one feature map over a scene, and which of them catch its boxes.
"use strict";
{
const { anchorSizes, f32, gridCenters, mapAnchors, pairwiseIou, toFloat32 } = explorerParts.boxes;
const { CAUGHT, CELL, DASHED, DOTTED, MISSED, PAPER, Scene } = explorerParts.scene;
const { argmax, fixed, thousands } = explorerParts.words;

const DATA = "anchors";

function view({ level, scales: [scale, next], ratios: names, cell, scene: seed }, data, width) {
  const ratios = names.map(name => data.ratios[name]), [rows, cols] = data.maps[level];
  const anchors = mapAnchors(rows, cols, scale, next, ratios, data.image_size), shapes = ratios.length + 1;
  const truth = data.scenes[seed], boxes = toFloat32(truth.boxes), overlaps = pairwiseIou(boxes, anchors);
  const best = overlaps.map(argmax), ious = overlaps.map((row, box) => row[best[box]]);
  const reaches = iou => iou >= f32(data.threshold);
  const scene = new Scene(seed, data.image_size, width);
  scene.grid(rows, cols, cell);
  for (const box of anchors.slice(cell * shapes, (cell + 1) * shapes)) scene.outline(box, CELL, 1.5);
  for (const box of boxes) scene.outline(box, PAPER, 2);
  best.forEach((anchor, box) => {
    const caught = reaches(ious[box]);
    scene.outline(anchors[anchor], caught ? CAUGHT : MISSED, 2.5, caught ? DASHED : DOTTED);
  });
  boxes.forEach((box, k) => scene.write(box, `${truth.names[k]} ${fixed(ious[k], 2)}`, reaches(ious[k]) ? CAUGHT : MISSED));

  const [tall, wide] = data.image_size, [x, y] = gridCenters(rows, cols)[cell];
  const sizes = anchorSizes(scale, next, ratios, data.image_size).map(([w, h]) => `${fixed(w * wide, 0)} × ${fixed(h * tall, 0)}`);
  const found = truth.names.map((name, k) => `${name} ${fixed(ious[k], 2)}`).join(", ");
  return scene.seen([
    `Scene ${seed}, feature map ${rows} × ${cols}, stride ${data.strides[level]}: the middles are ${fixed(wide / cols, 0)} pixels apart along x and ${fixed(tall / rows, 0)} along y.`,
    `${rows * cols} cells with ${shapes} anchors each make ${thousands(rows * cols * shapes)}.`,
    `Cell ${cell} is row ${Math.floor(cell / cols)}, column ${cell % cols}, with its middle at x = ${fixed(x, 2)}, y = ${fixed(y, 2)}.`,
    `Its anchors measure ${sizes.join(", ")} pixels, the extra square last.`,
    boxes.length
      ? `Best IoU of each box: ${found}. ${ious.filter(reaches).length} of ${boxes.length} boxes reach ${data.threshold}.`
      : "There is no box in this scene.",
  ].join(" "));
}

function change(controls, data, changed) {
  if (changed !== "level") return;
  const [rows, cols] = data.maps[controls.get("level")];
  controls.limit("cell", rows * cols - 1);
}

// A click chooses a cell, which the slider does for those without a mouse.
function begin(controls, data, svg) {
  svg.addEventListener("click", event => {
    const { frame } = new Scene(0, data.image_size, svg.viewBox.baseVal.width);
    const [rows, cols] = data.maps[controls.get("level")], corner = svg.getBoundingClientRect();
    const col = Math.floor((event.clientX - corner.left - frame.x) / frame.width * cols);
    const row = Math.floor((event.clientY - corner.top - frame.y) / frame.height * rows);
    if (row < 0 || row >= rows || col < 0 || col >= cols) return;
    controls.set("cell", row * cols + col);
    controls.onchange("cell");
  });
}

explorerParts.anchors = { DATA, view, change, begin };
}
