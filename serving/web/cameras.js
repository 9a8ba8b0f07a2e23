// The choice of cameras and of groups of them: a list with a box to find some among many.

import { cameraName, element, find, localTime } from "./elements.js";
import { say } from "./words.js";

export class CameraPicker {
  constructor() {
    this.box = find("cameras-box");
    this.list = find("cameras");
    this.search = find("cameras-find");
    this.chosen = new Set();
    this.groups = new Set();
    this.search.addEventListener("input", () => this.#filter());
    this.list.addEventListener("change", (event) => this.#choose(event.target));
    find("cameras-all").addEventListener("click", () => this.#chooseShown());
    find("cameras-none").addEventListener("click", () => this.set([]));
    this.box.addEventListener("toggle", () => this.box.open && this.search.focus());
    this.box.addEventListener("keydown", (event) => event.key === "Escape" && this.#close(event));
    document.addEventListener("click", (event) => this.box.contains(event.target) || this.box.removeAttribute("open"));
  }

  offer(cameras) {
    const groups = new Map();
    cameras.forEach(({ group }) => group && groups.set(group, (groups.get(group) ?? 0) + 1));
    this.box.hidden = cameras.length < 2;
    find("daily-clock").textContent = clockOf(cameras);
    this.list.replaceChildren(...[...groups].sort().map(groupRow), ...cameras.map(row));
    this.set([...this.chosen], [...this.groups]);
  }

  set(names, groups = []) {
    this.chosen = new Set(names);
    this.groups = new Set(groups);
    for (const box of this.list.querySelectorAll("input")) {
      box.checked = this.#kind(box).has(box.value);
    }
    this.#summarise();
  }

  value() {
    return [...this.chosen].sort();
  }

  groupsChosen() {
    return [...this.groups].sort();
  }

  #kind(box) {
    return box.dataset.kind === "group" ? this.groups : this.chosen;
  }

  #choose(box) {
    this.#kind(box)[box.checked ? "add" : "delete"](box.value);
    this.#summarise();
  }

  #chooseShown() {
    const shown = [...this.list.querySelectorAll("li:not([hidden]) input:not([data-kind])")].map((box) => box.value);
    this.set([...this.chosen, ...shown], [...this.groups]);
  }

  #filter() {
    const words = this.search.value.trim().toLowerCase().split(/\s+/);
    for (const item of this.list.children) {
      item.hidden = !words.every((word) => item.dataset.name.includes(word));
    }
    find("cameras-missing").hidden = this.list.querySelector("li:not([hidden])") !== null;
  }

  #summarise() {
    const named = [
      inWords(this.groupsChosen(), (count) => say("{count} groups", { count }), (group) => group),
      inWords(this.value(), (count) => say("{count} cameras", { count }), cameraName),
    ];
    find("cameras-summary").textContent = named.filter(Boolean).join(", ") || say("All cameras");
  }

  #close(event) {
    event.stopPropagation();
    this.box.removeAttribute("open");
    find("cameras-summary").focus();
  }
}

// What the times of "each day" go by, where it is not the clock of this browser, by which all other times are shown.
function clockOf(cameras) {
  const zones = new Set(cameras.map(({ zone }) => zone));
  const [zone = ""] = zones;
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return zones.size > 1 ? say("by the clock of each camera") : zone === here ? "" : zone;
}

function inWords(chosen, several, name) {
  return chosen.length > 1 ? several(chosen.length) : chosen.map(name).join("");
}

function row({ camera_id: id, name, group, crops, last }) {
  const about = [name === id ? "" : id, group && say("group {group}", { group }), say("{crops} crops, the last on {time}", { crops, time: localTime(last) })];
  return choice(`${name} ${id} ${group}`, { value: id }, name, about.filter(Boolean).join(" · "));
}

function groupRow([group, count]) {
  return choice(group, { value: group, "data-kind": "group" }, say("group {group}", { group }), say("{count} cameras of this group", { count }));
}

function choice(found, attributes, name, about) {
  return element("li", { "data-name": found.toLowerCase() },
    element("label", {}, element("input", { type: "checkbox", ...attributes }), element("span", {}, name), element("small", {}, about)));
}
