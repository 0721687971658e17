// The page: takes pictures from a camera, a video, files or drawn scenes, hands them one by one to the worker, and
// draws what it finds. Everything that takes long happens there, so the page answers meanwhile.
"use strict";

const LIVE_SIDE = 640, STILL_SIDE = 2048; // pixels at most, of the longer side of a picture that moves, or does not
const SCENE_STAYS = 3000; // milliseconds
const MOST_THREADS = 4; // more bring nothing to a network as small
const byId = id => document.getElementById(id);
const about = JSON.parse(byId("about").textContent);
const complete = !byId("pack-worker"); // the one file has the runtime for one thread alone
const quiet = matchMedia("(prefers-reduced-motion: reduce)");

// What a test or a curious reader may look at; `found` and what follows are of the picture that is shown.
const live = {frames: 0, answers: 0, found: [], raised: [], mask: null, source: "", network: "", backend: ""};
window.live = live;

const packs = new Map();
window.pack = (name, text) => packs.set(name, text);

// The bytes of one of the page's packs, out of the page itself or of a script beside it.
async function unpack(name) {
  const inside = byId(`pack-${name}`);
  if (!inside && !packs.has(name)) {
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.onload = resolve;
      script.onerror = () => reject(new Error(`data/${name}.js, which belongs to this page, is not beside it`));
      script.src = `data/${name}.js`;
      document.head.append(script);
    });
  }
  const text = atob(inside ? inside.textContent : packs.get(name)), bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// ---- words

const notes = new Map();
function note(topic, sentence) {
  if ((notes.get(topic) ?? "") === sentence) return;
  notes.delete(topic);
  if (sentence) notes.set(topic, sentence);
  byId("notes").replaceChildren(...[...notes.values()].map(words => {
    const paragraph = document.createElement("p");
    paragraph.textContent = words;
    return paragraph;
  }));
}
const veil = words => { byId("veil").textContent = words; };

// ---- the network

let worker = null, ready = false, busy = false, inSight = true, turn = 0, starts = 0;

function chosenBackend() {
  const [backend, threads] = byId("backend").value.split(" ");
  return {backend, threads: Number(threads)};
}

async function startWorker() {
  const mine = ++starts, {backend, threads} = chosenBackend();
  const suspends = backend === "webgpu" && complete && typeof WebAssembly.Suspending === "function";
  const kind = threads > 1 ? "threaded" : suspends ? "jspi" : "compat";
  worker?.terminate();
  worker = null;
  ready = busy = false;
  turn++; // what the old one still says no longer counts
  veil("Loading the runtime");
  const [code, glue, wasm] = await Promise.all([unpack("worker"), unpack(`${kind}-js`), unpack(`${kind}-wasm`)]);
  if (mine !== starts) return; // another choice was made meanwhile
  const address = URL.createObjectURL(new Blob([code], {type: "text/javascript"}));
  worker = new Worker(address);
  worker.onmessage = event => answers[event.data.is](event.data);
  worker.onerror = event => answers.wrong({during: "start", words: event.message || "the worker did not start"});
  worker.postMessage({do: "start", runtime: {glue, wasm}, backend, threads, suspends}, [glue.buffer, wasm.buffer]);
}

async function sendNetwork() {
  const index = byId("network").selectedIndex, to = worker;
  ready = busy = false;
  turn++;
  veil(`Loading ${about.networks[index].name}`);
  const [model, anchors] = await Promise.all([unpack(`network${index}`), unpack(`anchors${index}`)]);
  if (!to || to !== worker || index !== byId("network").selectedIndex) return;
  const message = {do: "network", model, anchors: new Float32Array(anchors.buffer), about: about.networks[index]};
  to.postMessage(message, [model.buffer, anchors.buffer]);
}

const answers = {
  started: () => sendNetwork().catch(stop),
  ready({backend}) {
    const asked = chosenBackend();
    live.network = about.networks[byId("network").selectedIndex].name;
    live.backend = backend === "webgpu" ? "webgpu" : `wasm ${asked.threads}`;
    const other = asked.backend === "webgpu" && backend !== "webgpu";
    note("backend", other ? "WebGPU cannot run this network here, so it runs in WebAssembly." : "");
    ready = true;
    pace.clear();
    source.fresh = true;
  },
  found(answer) {
    if (answer.turn !== turn) return;
    if (answer.fresh) {
      busy = false;
      [asked, judged] = [judged, asked];
      live.frames++;
      pace.add(answer.milliseconds);
      if (!document.hidden) askIfFree(performance.now()); // the worker is at the next one while this one is drawn
    }
    live.answers++;
    Object.assign(live, {found: answer.found, raised: answer.raised, mask: answer.mask, source: source.kind});
    shown = {...answer, about: network()};
    paintMask(answer);
    veil("");
    draw();
    tellFound(answer.found);
  },
  wrong({during, words}) {
    busy = false;
    if (during === "start" && chosenBackend().threads > 1) { // such as a browser without relaxed SIMD
      hint("threads", "Threads do not start in this browser, so there is one.");
      byId("backend").querySelector(`[value="${byId("backend").value}"]`).remove();
      startWorker().catch(stop);
    } else if (during === "network" || during === "start") {
      veil(`This network does not run here: ${words}`);
    } else {
      ready = false;
      veil(`The network stopped: ${words}`);
    }
  },
};

function stop(error) {
  ready = false;
  veil(`This page does not work here: ${error?.message ?? error}`);
}

const pace = { // how long the network takes, and how many pictures a second come out
  times: [], ends: [],
  clear() { this.times = []; this.ends = []; byId("milliseconds").textContent = byId("rate").textContent = "–"; },
  add(milliseconds) {
    this.times = [...this.times.slice(-14), milliseconds];
    this.ends = [...this.ends.slice(-30), performance.now()];
  },
  tell() {
    if (!this.times.length) return;
    const middle = [...this.times].sort((a, b) => a - b)[this.times.length >> 1];
    byId("milliseconds").textContent = middle < 10 ? middle.toFixed(1) : middle.toFixed(0);
    const span = (this.ends.at(-1) - this.ends[0]) / 1000, moving = performance.now() - this.ends.at(-1) < 1000;
    byId("rate").textContent = span && moving && !source.still ? ((this.ends.length - 1) / span).toFixed(1) : "–";
  },
};

// ---- where pictures come from

const held = () => document.createElement("canvas").getContext("2d", {willReadFrequently: true});
let asked = held(), judged = held(); // the picture that the network looks at, and the one that is shown
let source = {kind: "", fresh: false, still: true, picture: () => null, close() {}};
let paused = false, scenes = null, choices = 0;

// A source has `picture(now)`: {image, width, height, left, top} in pixels of the image, or null while there is none.
function videoSource(kind, video, close) {
  let time = -1;
  return {
    kind, fresh: true, still: false, close,
    picture() {
      if (video.readyState < 2 || !video.videoWidth || (!this.fresh && video.currentTime === time)) return null;
      time = video.currentTime;
      return {image: video, left: 0, top: 0, width: video.videoWidth, height: video.videoHeight};
    },
  };
}

function picturesSource(kind, images, moves) {
  const begun = performance.now();
  let before = -1;
  return {
    kind, fresh: true, still: !moves,
    close() { if (kind === "files") for (const image of images) image.close(); },
    picture(now) {
      const past = Math.max(now - begun, 0); // a frame's time may lie a little before the moment it is asked in
      const index = Math.floor(past / SCENE_STAYS) % images.length, image = images[index];
      if (!moves && index === before && !this.fresh) return null;
      before = index;
      const phase = 2 * Math.PI * past / (4 * SCENE_STAYS), part = moves ? 0.9 : 1; // a slow look around
      const width = image.width * part, height = image.height * part;
      const along = share => (1 - part) * (0.5 + 0.5 * share);
      const left = image.width * along(Math.sin(phase)), top = image.height * along(Math.cos(phase));
      return {image, width, height, left, top};
    },
  };
}

async function openScenes() {
  if (!scenes) {
    const bytes = await unpack("scenes");
    let at = 0;
    scenes = await Promise.all(about.scenes.map(length =>
      createImageBitmap(new Blob([bytes.subarray(at, at += length)], {type: "image/webp"}))));
  }
  return picturesSource("scenes", scenes, !quiet.matches);
}

const CAMERA_ERRORS = {
  NotAllowedError: "The camera was not allowed",
  NotReadableError: "The camera does not start: another program may have it",
};

async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("This browser gives a camera only to pages from the disk, from this machine or from https");
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: {width: {ideal: LIVE_SIDE}, height: {ideal: 480}, facingMode: "environment"},
    });
  } catch (error) {
    throw new Error(CAMERA_ERRORS[error.name] ?? "There is no camera here");
  }
  const video = player();
  video.srcObject = stream;
  stream.getVideoTracks()[0].onended = () => {
    if (source.kind !== "camera") return;
    choose("scenes").then(() => note("source", "The camera was taken away; drawn scenes play instead."));
  };
  await video.play();
  return videoSource("camera", video, () => { for (const track of stream.getTracks()) track.stop(); });
}

// Pictures become one source, which shows each for a while; a video is a source by itself.
async function openFiles(files) {
  const images = [], refused = [];
  let video = null;
  for (const file of files) {
    try {
      images.push(await createImageBitmap(file));
    } catch {
      try {
        const opened = await openVideo(file);
        if (video) opened.close(); // the first is shown
        else video = opened;
      } catch {
        refused.push(file.name);
      }
    }
  }
  if (refused.length) {
    const what = refused.length > 1 ? "no pictures or videos" : "no picture or video";
    note("files", `${refused.join(", ")}: ${what} that this browser can read.`);
  } else {
    note("files", "");
  }
  if (images.length && video) note("files", "Pictures and a video came together; the pictures are shown.");
  if (!images.length) return video;
  video?.close();
  return picturesSource("files", images, false);
}

async function openVideo(file) {
  const video = player(), address = URL.createObjectURL(file);
  video.loop = true;
  video.src = address;
  try {
    await new Promise((resolve, reject) => {
      video.onloadeddata = resolve;
      video.onerror = reject;
    });
    if (!video.videoWidth) throw new Error("only sound");
    await video.play();
  } catch (error) {
    URL.revokeObjectURL(address);
    throw error;
  }
  return videoSource("files", video, () => {
    video.pause();
    video.removeAttribute("src");
    URL.revokeObjectURL(address);
  });
}

function player() {
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  return video;
}

// Goes to another source; to scenes, and says why, where there is none.
async function choose(kind, files) {
  const mine = ++choices;
  let next = null, why = "";
  try {
    next = kind === "camera" ? await openCamera() : kind === "files" ? await openFiles(files) : await openScenes();
  } catch (error) {
    if (kind !== "camera") throw error;
    why = `${error.message}; drawn scenes play instead.`;
    next = source.kind === "scenes" ? source : await openScenes();
  }
  if (mine !== choices) return next?.close();
  if (next && next !== source) {
    source.close();
    source = next;
    turn++;
    busy = false;
    pace.clear();
    setPaused(false);
  }
  if (next) note("source", why);
  if (kind !== "files") note("files", "");
  const radio = document.querySelector(`[name="source"][value="${source.kind}"]`);
  if (source.kind === "files") radio.disabled = false;
  else document.querySelector('[value="files"]').disabled = true; // what was opened is closed
  if (radio) radio.checked = true;
}

function ask(now) {
  const picture = source.picture(now);
  if (!picture) return;
  const most = source.kind === "files" && source.still ? STILL_SIDE : LIVE_SIDE;
  const scale = Math.min(1, most / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map(side => Math.max(Math.round(side * scale), 1));
  const {canvas} = asked;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
  asked.fillStyle = "#fff"; // what is transparent lies on white, as in Python
  asked.fillRect(0, 0, width, height);
  asked.drawImage(picture.image, picture.left, picture.top, picture.width, picture.height, 0, 0, width, height);
  const {buffer} = asked.getImageData(0, 0, width, height).data;
  source.fresh = false;
  busy = true;
  worker.postMessage({do: "look", picture: buffer, width, height, thresholds: thresholds(), turn}, [buffer]);
}

function askIfFree(now) {
  if (ready && !busy && inSight && (!paused || source.fresh)) ask(now);
}

function tick(now) {
  requestAnimationFrame(tick);
  askIfFree(now);
}

// ---- what is seen

let shown = null;
const layer = document.createElement("canvas").getContext("2d");
const view = byId("view").getContext("2d");
const network = () => about.networks[byId("network").selectedIndex];

function paintMask({mask, width, height}) {
  Object.assign(layer.canvas, {width, height});
  const pixels = layer.createImageData(width, height), words = new Uint32Array(pixels.data.buffer);
  const colours = [0, ...network().colours.map(([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0)];
  for (let k = 0; k < mask.length; k++) words[k] = colours[mask[k]];
  layer.putImageData(pixels, 0, 0);
}

function draw() {
  if (!shown) return;
  const {canvas} = view, {width, height, found, raised} = shown, dots = window.devicePixelRatio || 1;
  byId("frame").style.setProperty("--aspect", width / height);
  const sides = {width: Math.round(canvas.clientWidth * dots), height: Math.round(canvas.clientHeight * dots)};
  if (canvas.width !== sides.width || canvas.height !== sides.height) Object.assign(canvas, sides);
  view.drawImage(judged.canvas, 0, 0, canvas.width, canvas.height);
  if (byId("masks").checked) {
    view.globalAlpha = about.mask_opacity;
    view.drawImage(layer.canvas, 0, 0, canvas.width, canvas.height);
    view.globalAlpha = 1;
  }
  const place = ({box: [left, top, right, bottom]}) =>
    [left * canvas.width, top * canvas.height, (right - left) * canvas.width, (bottom - top) * canvas.height];
  if (byId("anchors").checked) {
    view.lineWidth = dots;
    view.setLineDash([4 * dots, 3 * dots]);
    for (const anchor of raised) {
      view.strokeStyle = rgb(anchor.label);
      view.strokeRect(...place(anchor));
    }
    view.setLineDash([]);
  }
  if (!byId("boxes").checked) return;
  const size = 13 * dots;
  view.lineWidth = 2.5 * dots;
  view.font = `600 ${size}px system-ui, sans-serif`;
  view.textBaseline = "middle";
  for (const thing of found.toReversed?.() ?? [...found].reverse()) { // the best on top
    const [left, top, wide, high] = place(thing);
    view.strokeStyle = view.fillStyle = rgb(thing.label);
    view.strokeRect(left, top, wide, high);
    const words = `${shown.about.labels[thing.label]} ${Math.round(100 * thing.score)} %`;
    const tag = view.measureText(words).width + 10 * dots, tall = size + 7 * dots;
    const x = Math.max(0, Math.min(left - view.lineWidth / 2, canvas.width - tag)), y = top < tall ? top : top - tall;
    view.fillRect(x, y, tag, tall);
    view.fillStyle = isLight(thing.label) ? "#000" : "#fff";
    view.fillText(words, x + 5 * dots, y + tall / 2);
  }
}

const colour = label => shown.about.colours[label - 1];
const rgb = label => `rgb(${colour(label).join(" ")})`;
const isLight = label => colour(label).reduce((sum, part, k) => sum + part * [0.299, 0.587, 0.114][k], 0) > 120;

let told = "";
function tellFound(found) {
  const {labels} = shown.about, counts = labels.map((_, label) => found.filter(thing => thing.label === label).length);
  const words = JSON.stringify([labels, counts]);
  if (words === told) return;
  told = words;
  const parts = counts.flatMap((count, label) => {
    if (!count) return [];
    const part = document.createElement("span"), mark = document.createElement("i");
    mark.style.background = rgb(label);
    part.append(mark, count > 1 ? `${labels[label]} × ${count}` : labels[label]);
    return [part];
  });
  byId("found").replaceChildren(...(parts.length ? parts : ["nothing"]));
}

// ---- settings

function thresholds() {
  return {score: Number(byId("score").value), iou: Number(byId("iou").value)};
}

function setPaused(on) {
  paused = on;
  byId("pause").setAttribute("aria-pressed", on);
  byId("pause").textContent = on ? "Paused" : "Pause";
}

const hints = new Map();
function hint(topic, sentence) {
  hints.set(topic, sentence);
  byId("hints").textContent = [...hints.values()].join(" ");
}

async function offerBackends() {
  const list = byId("backend"), threads = Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS);
  list.add(new Option("WebAssembly, 1 thread", "wasm 1"));
  if (window.crossOriginIsolated && threads > 1 && complete) {
    list.add(new Option(`WebAssembly, ${threads} threads`, `wasm ${threads}`, true, true));
  } else if (threads > 1) {
    hint("threads", `One thread here; “ssdseg demo --live” opens the page with ${threads}.`);
  }
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (adapter) list.add(new Option("WebGPU", "webgpu 1"));
  else hint("gpu", "No WebGPU in this browser.");
}

function listen() {
  byId("network").onchange = () => sendNetwork().catch(stop);
  byId("backend").onchange = () => startWorker().catch(stop);
  for (const id of ["score", "iou"]) {
    const tell = () => { byId(`${id}-value`).textContent = thresholds()[id].toFixed(2); };
    byId(id).oninput = () => { tell(); worker?.postMessage({do: "decide", thresholds: thresholds()}); };
    tell();
  }
  for (const id of ["boxes", "masks", "anchors"]) byId(id).onchange = draw;
  for (const radio of document.querySelectorAll('[name="source"]')) {
    radio.onchange = () => { if (radio.value !== "files") choose(radio.value).catch(stop); };
  }
  byId("open").onclick = () => byId("files").click();
  byId("files").onchange = event => {
    choose("files", [...event.target.files]).catch(stop);
    event.target.value = ""; // or the same file again would be no change
  };
  byId("pause").onclick = () => setPaused(!paused);
  byId("panel").onsubmit = event => event.preventDefault();
  document.addEventListener("keydown", pressed);
  document.addEventListener("dragover", event => { event.preventDefault(); document.body.classList.add("dragging"); });
  document.addEventListener("dragleave", event => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", event => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    const files = [...event.dataTransfer.files];
    if (files.length) choose("files", files).catch(stop);
    else note("files", "What was dropped is no file; drop pictures or a video.");
  });
  quiet.addEventListener("change", () => { if (source.kind === "scenes") choose("scenes").catch(stop); });
  new ResizeObserver(draw).observe(byId("view"));
  new IntersectionObserver(seen => { inSight = seen.at(-1).isIntersecting; }).observe(byId("frame"));
}

const keys = {
  " ": () => setPaused(!paused),
  b: () => byId("boxes").click(),
  m: () => byId("masks").click(),
  a: () => byId("anchors").click(),
  c: () => choose("camera").catch(stop),
  s: () => choose("scenes").catch(stop),
  o: () => byId("files").click(),
};
function pressed(event) {
  const {key, target} = event, own = key === " " && target.closest("button, input, summary");
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || own || target.closest("select")) return;
  const action = keys[key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
}

async function begin() {
  const missing = [["WebAssembly", "WebAssembly"], ["DecompressionStream", "streams that unpack (DecompressionStream)"]]
    .find(([name]) => typeof window[name] === "undefined");
  if (missing) throw new Error(`this browser has no ${missing[1]}; a newer one has`);
  for (const {name} of about.networks) byId("network").add(new Option(name));
  const {decoding} = about.networks[0];
  byId("score").value = decoding.least_score;
  byId("iou").value = decoding.iou_threshold;
  listen();
  await offerBackends();
  requestAnimationFrame(tick);
  setInterval(() => pace.tell(), 250);
  const look = async () => {
    await choose("scenes");
    const alone = window.parent === window; // as a part of another page it asks for no camera unless it is told to
    if (choices === 1 && alone) await choose("camera"); // else something was chosen or dropped meanwhile
  };
  await Promise.all([startWorker(), look()]);
}

begin().catch(stop);
