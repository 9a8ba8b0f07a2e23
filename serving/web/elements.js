// Small parts that every view is built of. Text is always set as text, never as markup.

import { locale, say } from "./words.js";

const LOCAL_TIME = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK_TIME = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  confirm: "m5 12.5 4.5 4.5L19 7.5",
  reject: "M6.5 6.5l11 11m0-11-11 11",
  like: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13m4.8 11.3L20 20M10.5 7.8v5.4m-2.7-2.7h5.4",
  choose: "M5 5h14v14H5zm3.5 7 2.5 2.5 4.5-5",
  times: "M4 6h5m4 0h7M4 12h9m4 0h3M4 18h2m4 0h10",
  remove: "M7.5 7.5l9 9m0-9-9 9",
};

export const find = (id) => document.getElementById(id);

// element("p", { class: "small" }, "text", child, …)
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (attribute.startsWith("on")) {
      made.addEventListener(attribute.slice(2), value);
    } else if (value === true) {
      made.setAttribute(attribute, "");
    } else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(attribute, value);
    }
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "path");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  line.setAttribute("d", ICONS[name]);
  drawing.append(line);
  return drawing;
}

// Keeps a value in this browser; whether there was room: other pages behind the same proxy share it.
export function keep(name, value) {
  try {
    localStorage.setItem(name, value);
    return true;
  } catch {
    return false;
  }
}

export function localTime(iso) {
  return LOCAL_TIME.format(new Date(iso));
}

export function clockTime(iso) {
  return CLOCK_TIME.format(new Date(iso));
}

export function utcTime(iso) {
  return `${new Date(iso).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

export function percent(share) {
  return `${Math.round(share * 100)}\u00a0%`;
}

const cameraNames = new Map();

export function nameCameras(cameras) {
  cameras.forEach(({ camera_id: id, name }) => cameraNames.set(id, name));
}

// What people call a camera.
export function cameraName(id) {
  return cameraNames.get(id) ?? id;
}

export function describe(crop) {
  return say("Person at camera {camera}, {time}", { camera: cameraName(crop.camera_id), time: localTime(crop.captured_at) });
}

export function message(kind, title, text) {
  const role = kind === "error" ? "alert" : "status";
  return element("div", { class: `message ${kind}`, role }, element("strong", {}, title), element("span", {}, text));
}
