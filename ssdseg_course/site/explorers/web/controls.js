// The controls of an explorer: native inputs, whose values are read and set by their names.
"use strict";
{
const text = value => typeof value === "number" ? String(+value.toFixed(2)) : String(value);

class Controls {
  onchange = () => {};
  #all = new Map();

  constructor(section) {
    for (const element of section.querySelectorAll("[data-control]")) {
      const { control, kind } = element.dataset;
      this.#all.set(control, new KINDS[kind](element, () => this.onchange(control)));
    }
  }

  state() {
    return Object.fromEntries([...this.#all].map(([name, one]) => [name, one.value]));
  }

  get(name) { return this.#all.get(name).value; }

  set(name, value) { this.#all.get(name).value = value; }

  // A slider's end, or what a list offers, as [words, value] pairs.
  limit(name, to) { this.#all.get(name).limit(to); }
}

// A slider may hold a value between its steps, as a notebook's does, until it is moved.
class Slider {
  #exact;

  constructor(input, changed) {
    this.input = input;
    this.shown = input.parentElement.querySelector(".explorer-value");
    input.value = input.defaultValue; // a browser that comes back to a page keeps what was set there
    this.#exact = Number(input.getAttribute("value"));
    input.addEventListener("input", () => { this.#exact = Number(input.value); this.show(); changed(); });
    this.show();
  }

  get value() { return this.#exact; }

  set value(value) { this.#exact = value; this.input.value = value; this.show(); }

  limit(max) {
    this.input.max = max;
    this.value = Math.min(this.#exact, max);
  }

  show() { this.shown.textContent = text(this.#exact); }
}

class Options extends Slider {
  get options() { return JSON.parse(this.input.dataset.options); }

  get value() { return this.options[super.value]; }

  set value(value) { super.value = this.options.indexOf(value); }

  show() {
    this.shown.textContent = text(this.value);
    this.input.setAttribute("aria-valuetext", text(this.value));
  }
}

class Ends {
  constructor(element, changed) {
    const [low, high] = element.querySelectorAll("input");
    this.low = new Slider(low, () => { if (this.low.value > this.high.value) this.low.value = this.high.value; changed(); });
    this.high = new Slider(high, () => { if (this.high.value < this.low.value) this.high.value = this.low.value; changed(); });
  }

  get value() { return [this.low.value, this.high.value]; }

  set value([low, high]) { this.low.value = low; this.high.value = high; }
}

class Choice {
  constructor(element, changed) {
    this.inputs = [...element.querySelectorAll("input")];
    for (const input of this.inputs) {
      input.checked = input.defaultChecked;
      input.addEventListener("change", changed);
    }
  }

  get value() { return JSON.parse(this.inputs.find(input => input.checked).value); }
}

class Flags extends Choice {
  get value() { return this.inputs.filter(input => input.checked).map(input => JSON.parse(input.value)); }
}

class Select {
  constructor(element, changed) {
    this.element = element;
    for (const option of element.options) option.selected = option.defaultSelected;
    element.addEventListener("change", changed);
  }

  get value() { return this.element.value === "" ? null : JSON.parse(this.element.value); }

  set value(value) { this.element.value = JSON.stringify(value); }

  limit(pairs) {
    this.element.replaceChildren(...pairs.map(([words, value]) => new Option(words, JSON.stringify(value))));
    this.element.disabled = !pairs.length;
  }
}

const KINDS = { number: Slider, options: Options, ends: Ends, choice: Choice, flags: Flags, select: Select };

explorerParts.controls = { Controls };
}
