// The choice of cameras: a list with a box to find some among many.

import { element, find, localTime } from "./elements.js";
import { say } from "./words.js";

export class CameraPicker {
  constructor() {
    this.box = find("cameras-box");
    this.list = find("cameras");
    this.search = find("cameras-find");
    this.chosen = new Set();
    this.search.addEventListener("input", () => this.#filter());
    this.list.addEventListener("change", (event) => this.#choose(event.target));
    find("cameras-all").addEventListener("click", () => this.#chooseShown());
    find("cameras-none").addEventListener("click", () => this.set([]));
    this.box.addEventListener("toggle", () => this.box.open && this.search.focus());
    this.box.addEventListener("keydown", (event) => event.key === "Escape" && this.#close(event));
    document.addEventListener("click", (event) => this.box.contains(event.target) || this.box.removeAttribute("open"));
  }

  offer(cameras) {
    this.box.hidden = cameras.length < 2;
    this.list.replaceChildren(...cameras.map(row));
    this.set([...this.chosen]);
  }

  set(names) {
    this.chosen = new Set(names);
    for (const box of this.list.querySelectorAll("input")) {
      box.checked = this.chosen.has(box.value);
    }
    this.#summarise();
  }

  value() {
    return [...this.chosen].sort();
  }

  #choose(box) {
    this.chosen[box.checked ? "add" : "delete"](box.value);
    this.#summarise();
  }

  #chooseShown() {
    const shown = [...this.list.querySelectorAll("li:not([hidden]) input")].map((box) => box.value);
    this.set([...this.chosen, ...shown]);
  }

  #filter() {
    const words = this.search.value.trim().toLowerCase().split(/\s+/);
    for (const item of this.list.children) {
      item.hidden = !words.every((word) => item.dataset.name.includes(word));
    }
    find("cameras-missing").hidden = this.list.querySelector("li:not([hidden])") !== null;
  }

  #summarise() {
    const [first, ...others] = this.value();
    const words = !first ? say("All cameras") : others.length ? say("{count} cameras", { count: others.length + 1 }) : first;
    find("cameras-summary").textContent = words;
  }

  #close(event) {
    event.stopPropagation();
    this.box.removeAttribute("open");
    find("cameras-summary").focus();
  }
}

function row({ camera_id: name, crops, last }) {
  const about = say("{crops} crops, the last on {time}", { crops, time: localTime(last) });
  return element("li", { "data-name": name.toLowerCase() },
    element("label", {}, element("input", { type: "checkbox", value: name }), element("span", {}, name), element("small", {}, about)));
}
