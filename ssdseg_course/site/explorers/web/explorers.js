// Wakes every explorer of a page: reads its controls, draws what they say, and says it in words. All are classic scripts,
// which a browser loads from the disk, too; a page with several explorers names this one several times.
"use strict";
if (!window.explorerParts) {
window.explorerParts = {}; // what the scripts beside this one define, by their names

const SVG = "http://www.w3.org/2000/svg";
const WIDEST = 736, NARROWEST = 260; // pixels
const SHARED = ["words", "scene", "boxes", "diagram", "controls"]; // each needs none but those before it
const here = document.currentScript.src;
const asked = new Map(); // by name: several explorers share a part

function part(name) {
  if (!asked.has(name)) asked.set(name, new Promise((done, failed) => {
    const script = document.createElement("script");
    script.async = false; // run in the order in which they were asked for
    script.src = new URL(`${name}.js`, here);
    script.onload = () => name in explorerParts ? done(explorerParts[name]) : failed(new Error(`${name}.js is broken`));
    script.onerror = () => failed(new Error(`${name}.js is missing`));
    document.head.append(script);
  }));
  return asked.get(name);
}

async function wake(section) {
  const [module] = await Promise.all([...SHARED, section.dataset.explorer].map(part).reverse());
  const data = module.DATA ? await part(`data/${module.DATA}`) : null;
  const controls = new explorerParts.controls.Controls(section);
  const figure = section.querySelector(".explorer-figure"), words = section.querySelector(".explorer-words");
  const svg = document.createElementNS(SVG, "svg"), picture = document.createElementNS(SVG, "g"), over = document.createElementNS(SVG, "g");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${section.querySelector(".explorer-title").textContent}, in words below`);
  svg.append(picture, over);

  let images = "", drawing = false;
  const draw = () => {
    drawing = false;
    const width = Math.max(NARROWEST, Math.min(WIDEST, figure.clientWidth)), state = controls.state();
    const seen = module.view(state, data, width);
    svg.setAttribute("viewBox", `0 0 ${width} ${seen.height}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", seen.height);
    const shown = (seen.images ?? []).map(image).join("");
    if (shown !== images) picture.innerHTML = images = shown; // untouched while only lines move, or it would flicker
    over.innerHTML = seen.lines;
    if (words.textContent !== seen.words) words.textContent = seen.words;
    section.dataset.state = JSON.stringify(state);
  };
  const ask = () => { if (!drawing) { drawing = true; requestAnimationFrame(draw); } };

  module.begin?.(controls, data, svg);
  controls.onchange = changed => { module.change?.(controls, data, changed); ask(); };
  figure.replaceChildren(svg);
  draw();
  new ResizeObserver(ask).observe(figure);
  section.querySelector(".explorer-asleep").remove();
  section.classList.add("explorer-awake");
}

function image({ href, x, y, width, height, ...rest }) {
  const more = Object.entries(rest).map(([name, value]) => ` ${name}="${value}"`).join("");
  return `<image href="${new URL(href, here)}" x="${x}" y="${y}" width="${width}" height="${height}" preserveAspectRatio="none"${more}/>`;
}

for (const section of document.querySelectorAll(".explorer[data-explorer]")) {
  wake(section).catch(error => {
    section.querySelector(".explorer-asleep").textContent = "This explorer could not be loaded. Reload the page, or run it in the lesson's notebook.";
    console.error(error);
  });
}
}
