// What turns a picture into the network's input and its outputs into boxes and a mask: the same steps, in the same
// order and with the same thresholds as `ssdseg_ref.prediction.Predictor`, so that both find the same. Pure functions.
"use strict";

// Weights of bilinear resizing along one side, as Pillow has them: a triangle that widens where a picture shrinks.
// For each of `to` places: where its window begins, how many places it has, and `most` weights, those behind them 0.
function windows(from, to) {
  const scale = from / to, reach = Math.max(scale, 1), most = 2 * Math.ceil(reach) + 1;
  const starts = new Int32Array(to), counts = new Int32Array(to), weights = new Float64Array(to * most);
  for (let place = 0; place < to; place++) {
    const middle = (place + 0.5) * scale;
    const start = Math.max(Math.trunc(middle - reach + 0.5), 0);
    const count = Math.min(Math.trunc(middle + reach + 0.5), from) - start;
    let sum = 0;
    for (let k = 0; k < count; k++) {
      const weight = Math.max(1 - Math.abs((start + k - middle + 0.5) / reach), 0);
      weights[place * most + k] = weight;
      sum += weight;
    }
    for (let k = 0; k < count; k++) weights[place * most + k] /= sum;
    starts[place] = start;
    counts[place] = count;
  }
  return {starts, counts, weights, most};
}

// An RGBA picture as the network wants it: (height, width, 3) floats from 0 to 255. Pillow rounds after each direction,
// and its weights to 22 bits, so both are done here.
function fitPicture(rgba, width, height, toWidth, toHeight) {
  const fitted = new Float32Array(toWidth * toHeight * 3);
  if (width === toWidth && height === toHeight) {
    for (let i = 0, j = 0; j < fitted.length; i += 4, j += 3) {
      fitted[j] = rgba[i]; fitted[j + 1] = rgba[i + 1]; fitted[j + 2] = rgba[i + 2];
    }
    return fitted;
  }
  const whole = weights => Int32Array.from(weights, weight => Math.trunc(weight * (1 << 22) + 0.5));
  const byte = sum => Math.min(Math.max(sum >> 22, 0), 255);
  const across = windows(width, toWidth), down = windows(height, toHeight);
  const acrossWeights = whole(across.weights), downWeights = whole(down.weights);
  const narrow = new Uint8Array(toWidth * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < toWidth; x++) {
      let red = 1 << 21, green = 1 << 21, blue = 1 << 21, at = 4 * (y * width + across.starts[x]);
      for (let k = 0; k < across.counts[x]; k++, at += 4) {
        const weight = acrossWeights[x * across.most + k];
        red += rgba[at] * weight; green += rgba[at + 1] * weight; blue += rgba[at + 2] * weight;
      }
      const j = 3 * (y * toWidth + x);
      narrow[j] = byte(red); narrow[j + 1] = byte(green); narrow[j + 2] = byte(blue);
    }
  }
  const row = 3 * toWidth;
  for (let y = 0; y < toHeight; y++) {
    for (let x = 0; x < row; x++) {
      let sum = 1 << 21, at = down.starts[y] * row + x;
      for (let k = 0; k < down.counts[y]; k++, at += row) sum += narrow[at] * downWeights[y * down.most + k];
      fitted[y * row + x] = byte(sum);
    }
  }
  return fitted;
}

// (N, values) logits -> the share that each class gets; each row adds up to 1.
function softmax(logits, values) {
  const shares = new Float32Array(logits.length);
  for (let row = 0; row < logits.length; row += values) {
    let largest = -Infinity, sum = 0;
    for (let c = 0; c < values; c++) largest = Math.max(largest, logits[row + c]);
    for (let c = 0; c < values; c++) sum += shares[row + c] = Math.exp(logits[row + c] - largest);
    for (let c = 0; c < values; c++) shares[row + c] /= sum;
  }
  return shares;
}

// Offsets from anchors -> (N, 4) corners within the image; both ways in fractions of it.
function decodeBoxes(offsets, anchors, variances) {
  const boxes = new Float32Array(anchors.length);
  for (let n = 0; n < anchors.length; n += 4) {
    const width = anchors[n + 2] - anchors[n], height = anchors[n + 3] - anchors[n + 1];
    const x = (anchors[n] + anchors[n + 2]) / 2 + offsets[n] * variances[0] * width;
    const y = (anchors[n + 1] + anchors[n + 3]) / 2 + offsets[n + 1] * variances[1] * height;
    const halfWidth = Math.exp(offsets[n + 2] * variances[2]) * width / 2;
    const halfHeight = Math.exp(offsets[n + 3] * variances[3]) * height / 2;
    boxes[n] = within(x - halfWidth); boxes[n + 1] = within(y - halfHeight);
    boxes[n + 2] = within(x + halfWidth); boxes[n + 3] = within(y + halfHeight);
  }
  return boxes;
}

const within = value => Math.min(Math.max(value, 0), 1);

// Intersection over union of boxes a and b of (N, 4) corners.
function iou(boxes, a, b) {
  const i = 4 * a, j = 4 * b;
  const width = Math.min(boxes[i + 2], boxes[j + 2]) - Math.max(boxes[i], boxes[j]);
  const height = Math.min(boxes[i + 3], boxes[j + 3]) - Math.max(boxes[i + 1], boxes[j + 1]);
  if (width <= 0 || height <= 0) return 0;
  const area = k => (boxes[k + 2] - boxes[k]) * (boxes[k + 3] - boxes[k + 1]);
  return width * height / (area(i) + area(j) - width * height);
}

// The indices of the boxes of one class that stay, best first; one scored below the threshold does not take part.
function nonMaxSuppression(boxes, shares, values, label, thresholds, most) {
  let candidates = [];
  for (let n = 0; n < boxes.length / 4; n++) {
    const finite = Number.isFinite(boxes[4 * n] + boxes[4 * n + 1] + boxes[4 * n + 2] + boxes[4 * n + 3]);
    if (shares[n * values + label] >= thresholds.score && finite) candidates.push(n);
  }
  candidates.sort((a, b) => shares[b * values + label] - shares[a * values + label]);
  const kept = [];
  while (candidates.length && kept.length < most) {
    const best = candidates[0];
    kept.push(best);
    candidates = candidates.slice(1).filter(other => iou(boxes, best, other) <= thresholds.iou);
  }
  return kept;
}

// A kept box as the mean of all of its class that overlap it by half or more, weighted by score and by nearness: those
// that suppression has dropped have seen the same thing. `average_boxes` of `ssdseg_ref.nms`.
function averageBox(boxes, shares, values, label, thresholds, kept) {
  const sum = [0, 0, 0, 0];
  let votes = 0;
  for (let n = 0; n < boxes.length / 4; n++) {
    const score = shares[n * values + label];
    if (!(score >= thresholds.score)) continue;
    const overlap = iou(boxes, kept, n);
    if (!(overlap >= 0.5)) continue;
    const weight = score * Math.exp(-((1 - overlap) ** 2) / 0.05);
    for (let side = 0; side < 4; side++) sum[side] += weight * boxes[4 * n + side];
    votes += weight;
  }
  return votes > 0 ? sum.map(side => side / votes) : Array.from(boxes.subarray(4 * kept, 4 * kept + 4));
}

// (h, w, values) logits -> the class of each of height x width pixels. The logits are resized, not the classes, so
// edges stay smooth.
function classesOfPixels(logits, fromWidth, fromHeight, values, width, height) {
  const classes = new Uint8Array(width * height);
  let wide = logits, down = null;
  if (width !== fromWidth || height !== fromHeight) {
    const across = windows(fromWidth, width);
    down = windows(fromHeight, height);
    wide = new Float32Array(fromHeight * width * values);
    for (let y = 0; y < fromHeight; y++) {
      for (let x = 0; x < width; x++) {
        for (let k = 0; k < across.counts[x]; k++) {
          const weight = across.weights[x * across.most + k], at = (y * fromWidth + across.starts[x] + k) * values;
          for (let c = 0; c < values; c++) wide[(y * width + x) * values + c] += weight * logits[at + c];
        }
      }
    }
  }
  const row = width * values, line = new Float32Array(row);
  for (let y = 0; y < height; y++) {
    let from = wide, at = y * row;
    if (down) {
      line.fill(0);
      for (let k = 0; k < down.counts[y]; k++) {
        const weight = down.weights[y * down.most + k], start = (down.starts[y] + k) * row;
        for (let i = 0; i < row; i++) line[i] += weight * wide[start + i];
      }
      from = line; at = 0;
    }
    for (let x = 0; x < width; x++, at += values) {
      let best = 0;
      for (let c = 1; c < values; c++) if (from[at + c] > from[at + best]) best = c;
      classes[y * width + x] = best;
    }
  }
  return classes;
}

// What is found: boxes of all classes, best first; a class with fewer pixels than the gate wants in the mask has none.
function detections(boxes, shares, values, mask, thresholds, decoding) {
  const pixels = new Int32Array(256);
  for (const label of mask) pixels[label]++;
  const found = [];
  for (let label = 1; label < values; label++) {
    if (pixels[label] < decoding.gate_pixels) continue;
    for (const n of nonMaxSuppression(boxes, shares, values, label, thresholds, decoding.max_detections)) {
      found.push({box: averageBox(boxes, shares, values, label, thresholds, n), label, score: shares[n * values + label]});
    }
  }
  return found.sort((a, b) => b.score - a.score).slice(0, decoding.max_detections);
}

// The anchors whose boxes take part before suppression, each with its class: at most `most`, the best.
function raisedAnchors(anchors, shares, values, thresholds, most = 300) {
  const raised = [];
  for (let n = 0; n < anchors.length / 4; n++) {
    let label = 1;
    for (let c = 2; c < values; c++) if (shares[n * values + c] > shares[n * values + label]) label = c;
    const score = shares[n * values + label];
    if (score >= thresholds.score) raised.push({box: Array.from(anchors.subarray(4 * n, 4 * n + 4)), label, score});
  }
  return raised.sort((a, b) => b.score - a.score).slice(0, most);
}
