// The matching explorer: a threshold, a box that moves, and the anchors that answer for it.
"use strict";
{
const { f32, mapAnchors, matchAnchors, pairwiseIou, toFloat32 } = explorerParts.boxes;
const { CAUGHT, DASHED, DOTTED, MISSED, PAPER, Scene } = explorerParts.scene;
const { even, fixed, range, thousands } = explorerParts.words;

const DATA = "matching";

function allAnchors(data) {
  return data.anchors ??= data.maps.flatMap(([rows, cols], k) =>
    mapAnchors(rows, cols, data.scales[k], data.scales[k + 1], data.ratios[k], data.image_size));
}

const bestFirst = (ious, chosen) => range(ious.length).filter(chosen).sort((a, b) => ious[b] - ious[a]);

function view({ threshold, box: selected, x, y, scene: seed }, data, width) {
  const [tall, wide] = data.image_size, { boxes: there, names } = data.scenes[seed];
  const boxes = toFloat32(there), anchors = allAnchors(data);
  if (selected !== null) boxes[selected] = [x[0] / wide, y[0] / tall, x[1] / wide, y[1] / tall].map(f32);
  const ious = pairwiseIou(boxes, anchors), matches = matchAnchors(ious, anchors.length, threshold);
  const own = boxes.map((_, box) => bestFirst(ious[box], anchor => matches[anchor] === box));
  const scene = new Scene(seed, data.image_size, width);
  let nearest = [];
  if (selected !== null) {
    const mine = ious[selected];
    nearest = bestFirst(mine, anchor => matches[anchor] < 0 && mine[anchor] > 0).slice(0, data.nearest);
    for (const anchor of nearest) scene.outline(anchors[anchor], MISSED, 1.5, DOTTED);
    for (const anchor of own[selected].slice(1)) scene.outline(anchors[anchor], CAUGHT, 1.5, DASHED);
    for (const anchor of own[selected].slice(0, 1)) scene.outline(anchors[anchor], CAUGHT, 3);
  }
  boxes.forEach((box, k) => scene.outline(box, PAPER, k === selected ? 3 : 1.5));
  boxes.forEach((box, k) => scene.write(box, `${k} ${names[k]}: ${own[k].length}`, k === selected ? CAUGHT : PAPER));

  const positives = own.reduce((all, one) => all + one.length, 0), total = anchors.length;
  const sentences = [`Scene ${seed}, threshold ${fixed(threshold, 2)}: ${positives} of ${thousands(total)} anchors are positive, ${thousands(total - positives)} are background.`];
  if (selected === null) return scene.seen(`${sentences[0]} There is no box in this scene.`);
  boxes.forEach((_, k) => sentences.push(`Box ${k}, ${names[k]}: ${found(ious[k], own[k], threshold)}.`));
  const [left, top, right, bottom] = boxes[selected].map((side, k) => side * (k % 2 ? tall : wide));
  sentences.push(`Box ${selected} is selected: ${fixed(right - left, 0)} × ${fixed(bottom - top, 0)} pixels, its upper left corner at x = ${fixed(left, 0)}, y = ${fixed(top, 0)}.`);
  if (nearest.length) sentences.push(`The best of the anchors without a box overlaps it by ${fixed(ious[selected][nearest[0]], 3)}.`);
  return scene.seen(sentences.join(" "));
}

function found(ious, anchors, threshold) {
  if (!anchors.length) return "no anchor touches it";
  const first = ious[anchors[0]];
  if (first < f32(threshold)) return `1 anchor, with an IoU of ${fixed(first, 3)}, under the threshold: it got that one first, as every box does`;
  return `${anchors.length} anchor${anchors.length > 1 ? "s" : ""}, the first with an IoU of ${fixed(first, 3)}`;
}

// Another scene offers its own boxes; another box brings its own sides.
function change(controls, data, changed) {
  const { boxes, names } = data.scenes[controls.get("scene")], [tall, wide] = data.image_size;
  if (changed === "scene") controls.limit("box", names.map((name, k) => [`${k} ${name}`, k]));
  const selected = controls.get("box");
  if (selected === null || !["scene", "box"].includes(changed)) return;
  const [xmin, ymin, xmax, ymax] = boxes[selected].map((side, k) => even(f32(side) * (k % 2 ? tall : wide) * 10) / 10);
  controls.set("x", [xmin, xmax]);
  controls.set("y", [ymin, ymax]);
}

// Dragging moves the selected box; a press on another box selects that one. The sliders do the same for a keyboard.
function begin(controls, data, svg) {
  const [tall, wide] = data.image_size;
  let held = null;
  const pointed = event => {
    const { frame } = new Scene(0, data.image_size, svg.viewBox.baseVal.width), corner = svg.getBoundingClientRect();
    return [(event.clientX - corner.left - frame.x) / frame.width * wide, (event.clientY - corner.top - frame.y) / frame.height * tall];
  };
  const around = ([x, y], [left, top, right, bottom]) => left <= x && x <= right && top <= y && y <= bottom;
  const current = () => { const [x, y] = [controls.get("x"), controls.get("y")]; return [x[0], y[0], x[1], y[1]]; };
  svg.addEventListener("pointerdown", event => {
    const point = pointed(event);
    if (controls.get("box") === null) return;
    if (!around(point, current())) {
      const { boxes } = data.scenes[controls.get("scene")];
      const other = boxes.findIndex(box => around(point, box.map((side, k) => side * (k % 2 ? tall : wide))));
      if (other < 0 || other === controls.get("box")) return;
      controls.set("box", other);
      controls.onchange("box");
    }
    held = { point, sides: current() };
    svg.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  svg.addEventListener("pointermove", event => {
    if (!held) return;
    const [x, y] = pointed(event), [left, top, right, bottom] = held.sides;
    const half = value => Math.round(2 * value) / 2;
    const right_by = Math.max(-left, Math.min(wide - right, half(x - held.point[0])));
    const down_by = Math.max(-top, Math.min(tall - bottom, half(y - held.point[1])));
    controls.set("x", [left + right_by, right + right_by].map(side => Number(side.toFixed(1))));
    controls.set("y", [top + down_by, bottom + down_by].map(side => Number(side.toFixed(1))));
    controls.onchange("x");
  });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { held = null; });
  // Over a box a finger moves the box, elsewhere the page.
  svg.addEventListener("touchstart", event => { if (held) event.preventDefault(); }, { passive: false });
}

explorerParts.matching = { DATA, view, change, begin };
}
