// The candidates of a search as rows of cameras over time: where else somebody was, and when.

import { cameraName, element, find, percent } from "./elements.js";
import { locale, say } from "./words.js";

const WIDTH = 56; // of a sighting with its margin, in pixels; the style sheet has the same
const HEIGHT = 104;
const TICK = 150; // pixels between times, at least
const DAY = 86_400_000;
const TIME = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
const DATE = new Intl.DateTimeFormat(locale, { dateStyle: "short", timeStyle: "short" });

export class Timeline {
  constructor(actions) {
    this.actions = actions;
    this.box = find("times");
    this.rows = [];
    new ResizeObserver(() => this.#lay()).observe(this.box);
  }

  clear() {
    this.rows = [];
    find("times-rows").replaceChildren();
    find("times-axis").replaceChildren();
  }

  show(candidates, pictures) {
    const ordered = candidates.map((candidate) => ({ candidate, at: new Date(candidate.captured_at).getTime() }))
      .sort((one, other) => one.at - other.at);
    const byCamera = new Map();
    for (const sighting of ordered) {
      sighting.button = this.#sighting(sighting.candidate, pictures);
      byCamera.set(sighting.candidate.camera_id, [...(byCamera.get(sighting.candidate.camera_id) ?? []), sighting]);
    }
    this.first = ordered[0]?.at ?? 0;
    this.last = ordered.at(-1)?.at ?? 0;
    this.rows = [...byCamera].map(([camera, sightings]) => row(cameraName(camera), sightings));
    find("times-rows").replaceChildren(...this.rows.map(({ item }) => item));
    this.#lay();
  }

  focus(cropId) {
    const found = this.rows.flatMap(({ sightings }) => sightings).find(({ candidate }) => candidate.crop_id === cropId);
    found?.button.focus();
    found?.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  // Moves the focus to an earlier or later sighting, or to the nearest in time at the camera above or below.
  move({ cards = 0, rows = 0 }) {
    const all = this.rows.flatMap(({ sightings }) => sightings).sort((one, other) => one.at - other.at);
    const current = all.find(({ button }) => button === document.activeElement);
    if (!current) {
      all[0]?.button.focus();
      return;
    }
    if (cards) {
      all[all.indexOf(current) + cards]?.button.focus();
      return;
    }
    const place = this.rows.findIndex(({ sightings }) => sightings.includes(current));
    const others = this.rows[place + rows]?.sightings ?? [];
    const apart = (one) => Math.abs(one.at - current.at);
    others.reduce((best, one) => (apart(one) < apart(best) ? one : best), others[0])?.button.focus();
  }

  #sighting(candidate, pictures) {
    const { rank, camera_id: camera, confidence } = candidate;
    const word = confidence === null ? say("uncalibrated") : percent(confidence);
    const label = say("Open candidate {rank}: camera {camera}, {time}, {confidence}",
      { rank, camera: cameraName(camera), time: DATE.format(new Date(candidate.captured_at)), confidence: word });
    const button = element("button",
      { type: "button", class: "sighting", "aria-label": label, title: label, onclick: () => this.actions.open(candidate) },
      pictures.image(candidate, { zoom: 1, alt: "" }), element("small", {}, confidence === null ? `${rank}` : word));
    button.dataset.cropId = candidate.crop_id;
    return button;
  }

  // Sightings that would cover each other stand below each other.
  #lay() {
    const width = find("times-axis").clientWidth;
    if (!width) {
      return; // not shown
    }
    const span = this.last - this.first;
    const left = (at) => (span ? ((at - this.first) / span) * (width - WIDTH) : 0);
    for (const { lane, sightings } of this.rows) {
      const ends = [];
      for (const { at, button } of sightings) {
        const x = left(at);
        const free = ends.findIndex((end) => end <= x);
        const level = free < 0 ? ends.length : free;
        ends[level] = x + WIDTH;
        button.style.left = `${x}px`;
        button.style.top = `${level * HEIGHT}px`;
      }
      lane.style.height = `${ends.length * HEIGHT}px`;
    }
    this.#tick(width, left);
  }

  #tick(width, left) {
    const span = this.last - this.first;
    const count = span ? Math.max(1, Math.floor(width / TICK)) : 0;
    const format = span < DAY ? TIME : DATE;
    const ticks = Array.from({ length: this.rows.length ? count + 1 : 0 }, (_, place) => {
      const at = this.first + (span * place) / Math.max(count, 1);
      const tick = element("span", {}, (place === 0 ? DATE : format).format(at));
      tick.style.left = `${left(at)}px`;
      return tick;
    });
    ticks.at(-1)?.classList.toggle("last", ticks.length > 1);
    find("times-axis").replaceChildren(...ticks);
  }
}

function row(camera, sightings) {
  const lane = element("ul", { class: "lane" }, ...sightings.map(({ button }) => element("li", {}, button)));
  return { lane, sightings, item: element("li", { class: "times-row" }, element("h2", { title: camera }, cameraName(camera)), lane) };
}
