// Wakes every explorer of a page: reads its controls, draws what they say, and says it in words.

import { Controls } from "./controls.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDEST = 736, NARROWEST = 260; // pixels

async function wake(section) {
  const module = await import(`./${section.dataset.explorer}.js`);
  const data = module.DATA ? await load(module.DATA) : null;
  const controls = new Controls(section);
  const figure = section.querySelector(".explorer-figure"), words = section.querySelector(".explorer-words");
  const svg = document.createElementNS(SVG, "svg"), picture = document.createElementNS(SVG, "g"), over = document.createElementNS(SVG, "g");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${section.querySelector(".explorer-title").textContent}, in words below`);
  svg.append(picture, over);

  let images = "", asked = false;
  const draw = () => {
    asked = false;
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
  const ask = () => { if (!asked) { asked = true; requestAnimationFrame(draw); } };

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
  return `<image href="${new URL(href, import.meta.url)}" x="${x}" y="${y}" width="${width}" height="${height}" preserveAspectRatio="none"${more}/>`;
}

const loaded = new Map(); // by name: several explorers share a file

function load(name) {
  if (!loaded.has(name)) loaded.set(name, fetch(new URL(`data/${name}.json`, import.meta.url)).then(answer => {
    if (!answer.ok) throw new Error(`data/${name}.json: ${answer.status}`);
    return answer.json();
  }));
  return loaded.get(name);
}

for (const section of document.querySelectorAll(".explorer[data-explorer]")) {
  wake(section).catch(error => {
    section.querySelector(".explorer-asleep").textContent = "This explorer could not be loaded. Reload the page, or run it in the lesson's notebook.";
    console.error(error);
  });
}
