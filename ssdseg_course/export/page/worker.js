// The network at work, in a thread of its own, so that the page answers while it computes.
//
// In come {do: "start", runtime, backend, threads, suspends}, {do: "network", model, anchors, about}, {do: "look", picture,
// width, height, thresholds, turn} and {do: "decide", thresholds};
// out go {is: "started" | "ready" | "found" | "wrong", ...}.
"use strict";

let network = null; // {model, anchors, about, backend}
let last = null; // what the network said of the last picture, for other thresholds
let threads = 1;
let backend = "wasm";
let sayings = []; // what the runtime wrote meanwhile, for when it fails

const steps = {start, network: load, look, decide};
let queue = Promise.resolve(); // one step after the other
self.onmessage = ({data}) => {
  queue = queue.then(() => steps[data.do](data)).catch(error => {
    const said = sayings.join(" ").slice(0, 300);
    self.postMessage({is: "wrong", during: data.do, words: `${error?.message ?? error}${said ? ` (${said})` : ""}`});
  });
};

// Its runtime reports on the console, also what is no error; a page's console is for what is wrong with the page.
for (const channel of ["log", "info", "debug", "warn", "error"]) {
  console[channel] = (...words) => { sayings = [...sayings.slice(-4), words.join(" ")]; };
}

async function start(message) {
  ({threads, backend} = message);
  if (backend !== "webgpu") { // or the runtime would wake the graphics card for nothing
    Object.defineProperty(self.navigator, "gpu", {value: undefined, configurable: true});
  }
  if (!message.suspends) delete WebAssembly.Suspending; // or a build that cannot wait for WebGPU would try to
  const address = URL.createObjectURL(new Blob([message.runtime.glue], {type: "text/javascript"}));
  const quiet = () => {};
  self.Module = {wasmBinary: message.runtime.wasm, mainScriptUrlOrBlob: address, print: quiet, printErr: quiet};
  await LiteRT.loadLiteRt(`${address}#.js`); // it wants a name that ends so
  self.postMessage({is: "started"});
}

async function load({model, anchors, about}) {
  last = null;
  network?.model.delete();
  network = null;
  let compiled = null, ran = backend;
  if (backend === "webgpu") {
    compiled = await compile(model, "webgpu", about).catch(() => null);
    if (!compiled) ran = "wasm";
  }
  compiled ??= await compile(model, "wasm", about);
  network = {model: compiled, anchors, about};
  self.postMessage({is: "ready", backend: ran});
}

// A compiled network that has been tried: some fail on WebGPU only when they run.
async function compile(model, accelerator, about) {
  const compiled = await LiteRT.loadAndCompile(model, {accelerator, cpuOptions: {numThreads: threads}});
  await run(compiled, new Float32Array(about.input.reduce((product, side) => product * side)), about.input);
  return compiled;
}

async function look({picture, width, height, thresholds, turn}) {
  if (!network) return;
  const {about} = network, [, inHeight, inWidth] = about.input;
  const begun = performance.now();
  const input = fitPicture(new Uint8ClampedArray(picture), width, height, inWidth, inHeight);
  const asked = performance.now();
  const outputs = await run(network.model, input, about.input);
  const milliseconds = performance.now() - asked;
  const values = about.labels.length;
  const learned = about.decoding.gate_pixels > 0;  // an open gate says that the mask has learned nothing
  last = {
    turn, width, height,
    shares: softmax(outputs.classes, values),
    boxes: decodeBoxes(outputs.offsets, network.anchors, about.decoding.variances),
    mask: learned ? classesOfPixels(outputs.mask, inWidth, inHeight, values, width, height)
      : new Uint8Array(width * height),
  };
  tell(thresholds, {milliseconds, around: performance.now() - begun - milliseconds, fresh: true});
}

async function run(model, input, shape) {
  const tensor = new LiteRT.Tensor(input, shape);
  const results = await model.run({image: tensor});
  tensor.delete();
  const outputs = {};
  for (const name of ["classes", "offsets", "mask"]) {
    const here = results[name].accelerator === "wasm" ? results[name] : await results[name].moveTo("wasm");
    outputs[name] = here.toTypedArray().slice();
    here.delete();
  }
  if (outputs.classes.every(Number.isNaN) || outputs.mask.every(Number.isNaN)) {
    throw new Error("the network outputs nothing but NaN");
  }
  return outputs;
}

function decide({thresholds}) {
  if (last) tell(thresholds, {fresh: false});
}

function tell(thresholds, more) {
  const {turn, width, height, shares, boxes, mask} = last, {about, anchors} = network, values = about.labels.length;
  const found = detections(boxes, shares, values, mask, thresholds, about.decoding);
  const raised = raisedAnchors(anchors, shares, values, thresholds);
  self.postMessage({is: "found", turn, width, height, found, raised, mask, ...more});
}
