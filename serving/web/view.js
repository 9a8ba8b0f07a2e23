// Builds the page's elements. Text is always set as text, never as markup.

import { picture } from "./api.js";

const LOCAL_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

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

export function localTime(iso) {
  return LOCAL_TIME.format(new Date(iso));
}

export function utcTime(iso) {
  return `${new Date(iso).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

export function describe(crop) {
  return `Person at camera ${crop.camera_id}, ${localTime(crop.captured_at)}`;
}

// Images are fetched, with the key, when they come near the viewport, and released when the results change.
export class Pictures {
  constructor() {
    this.controller = new AbortController();
    this.urls = new Map();
    this.observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "400px" });
  }

  image(crop, attributes = {}) {
    const image = element("img", { alt: describe(crop), class: "loading", ...attributes });
    image.dataset.cropId = crop.crop_id;
    this.observer.observe(image);
    return image;
  }

  async show(image, cropId) {
    if (!this.urls.has(cropId)) {
      this.urls.set(cropId, picture(cropId, { signal: this.controller.signal }));
    }
    try {
      image.src = await this.urls.get(cropId);
      image.classList.remove("loading", "missing");
    } catch (error) {
      this.urls.delete(cropId);
      if (error.name !== "AbortError") {
        image.classList.replace("loading", "missing");
        image.alt = error.message;
      }
    }
  }

  release() {
    this.controller.abort();
    this.observer.disconnect();
    for (const url of this.urls.values()) {
      url.then(URL.revokeObjectURL, () => {});
    }
  }

  #seen(entries) {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        this.observer.unobserve(target);
        this.show(target, target.dataset.cropId);
      }
    }
  }
}

export function skeletons(count) {
  return Array.from({ length: count }, () =>
    element("li", { class: "card skeleton", "aria-hidden": "true" },
      element("div", { class: "frame" }), element("div", { class: "line" }), element("div", { class: "line short" })));
}

export function card(candidate, { pictures, open, judge }) {
  const opened = element("button", { type: "button", class: "frame", onclick: open, "aria-label": `Open candidate ${candidate.rank}` },
    pictures.image(candidate), element("span", { class: "rank" }, String(candidate.rank)));
  const item = element("li", { class: "card" },
    opened,
    element("div", { class: "about" },
      element("strong", {}, candidate.camera_id),
      element("time", { datetime: candidate.captured_at, title: utcTime(candidate.captured_at) }, localTime(candidate.captured_at)),
      element("small", {}, utcTime(candidate.captured_at)),
      confidence(candidate)),
    verdicts(candidate, judge));
  item.dataset.cropId = candidate.crop_id;
  return item;
}

function confidence(candidate) {
  const score = element("span", { class: "score", title: "Cosine similarity of the description and the image" }, `score ${candidate.score.toFixed(3)}`);
  if (candidate.confidence === null) {
    return element("div", { class: "confidence" }, element("span", { class: "small" }, "confidence unknown"), score);
  }
  const label = `confidence ${percent(candidate.confidence)}`;
  return element("div", { class: "confidence" },
    element("meter", { min: 0, max: 1, low: 0.34, high: 0.67, optimum: 1, value: candidate.confidence, "aria-label": label }),
    element("span", { class: "small" }, label), score);
}

export function verdicts(candidate, judge) {
  const button = (verdict, text, sign) => element("button", {
    type: "button", class: `verdict ${verdict}`, "aria-pressed": "false", "data-verdict": verdict,
    "aria-label": `${text} candidate ${candidate.rank}`, onclick: () => judge(candidate, verdict),
  }, element("span", { "aria-hidden": "true" }, sign), text);
  return element("div", { class: "verdicts", "data-verdicts-of": candidate.crop_id },
    button("confirmed", "Confirm", "✓"), button("rejected", "Reject", "✕"));
}

export function showVerdict(cropId, verdict) {
  for (const box of document.querySelectorAll(`[data-verdicts-of="${CSS.escape(cropId)}"]`)) {
    for (const button of box.children) {
      button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
    }
    box.closest(".card")?.classList.toggle("is-rejected", verdict === "rejected");
    box.closest(".card")?.classList.toggle("is-confirmed", verdict === "confirmed");
  }
}

export function message(kind, title, text) {
  const role = kind === "error" ? "alert" : "status";
  return element("div", { class: `message ${kind}`, role }, element("strong", {}, title), element("span", {}, text));
}
