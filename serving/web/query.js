// The form: whom to search for, where and when. It reads and shows the state that an address holds.

import { EMPTY } from "./address.js";
import { CameraPicker } from "./cameras.js";
import { element, find, icon } from "./elements.js";
import { keepPicture, pictureUrl } from "./sent_picture.js";
import { TimeError, TimeField } from "./times.js";
import { say } from "./words.js";

const MOST_TERMS = 8; // of each kind, as the service takes
const EXCLUDED = /[,;]?\s*\b(?:but\s+)?(?:not|without|no)\s+(.+?)(?=\s+(?:and|with|but|in|who)\b|[,;.]|$)/gi;
const DANGLING = /[\s,;]+(?:with|and|but)?\s*$/i;

// "a man in red, not a hat" is a description and what he does not have: models read over "not" and "without".
export function excludedIn(given) {
  const text = given.replace(/\s+/g, " "); // the patterns take the cube of the length of a run of spaces
  const without = [...text.matchAll(EXCLUDED)].map((match) => match[1].trim());
  const rest = text.replace(EXCLUDED, "").replace(DANGLING, "").trim();
  return rest ? { text: rest, without } : { text, without: [] };
}

export class QueryForm {
  // `submit(state)` starts a search; `thumbnail(cropId)` is an image of a crop; `refuse(error)` shows what went wrong.
  constructor({ submit, thumbnail, refuse }) {
    this.submit = submit;
    this.thumbnail = thumbnail;
    this.refuse = refuse;
    this.text = find("text");
    this.cameras = new CameraPicker();
    this.after = new TimeField(find("after"), find("after-choice"));
    this.before = new TimeField(find("before"), find("before-choice"));
    this.terms = { also: [], without: [], like: "", picture: "" };
    this.adding = "";
    this.#listen();
  }

  // Throws a TimeError if a time cannot be read.
  state() {
    const { text, without } = excludedIn(this.text.value.trim());
    this.text.value = text;
    this.terms.without = distinct([...this.terms.without, ...without]);
    this.#showTerms();
    const state = {
      text, ...this.terms, also: text ? this.terms.also : [], weight: Number(find("weight").value),
      cameras: this.cameras.value(), groups: this.cameras.groupsChosen(),
      dailyAfter: find("daily-after").value, dailyBefore: find("daily-before").value, sort: find("sort").value,
      after: this.after.value() ?? "", before: this.before.value() ?? "",
      k: Number(find("k").value), grouped: find("grouped").checked, purpose: find("purpose").value.trim(),
      cursor: "", open: "", view: "",
    };
    if (state.after && state.before && state.after >= state.before) {
      throw new TimeError(say("“From” must be earlier than “Until”."));
    }
    if (state.dailyAfter && state.dailyAfter === state.dailyBefore) {
      throw new TimeError(say("A time of day needs two different ends."));
    }
    return state;
  }

  show(state) {
    this.text.value = state.text;
    this.terms = { also: [...state.also], without: [...state.without], like: state.like, picture: state.picture };
    find("weight").value = state.weight;
    this.cameras.set(state.cameras, state.groups);
    find("daily-after").value = state.dailyAfter;
    find("daily-before").value = state.dailyBefore;
    find("sort").value = state.sort;
    find("sort").value ||= EMPTY.sort; // a link may ask for anything
    this.after.set(state.after);
    this.before.set(state.before);
    find("k").value = state.k;
    find("k").value ||= EMPTY.k; // a link may ask for any number
    find("grouped").checked = state.grouped;
    find("purpose").value = state.purpose;
    this.#showTerms();
  }

  async takePicture(file) {
    try {
      this.terms = { ...this.terms, picture: await keepPicture(file), like: "" };
      this.#changed();
    } catch (error) {
      this.refuse(error);
    }
  }

  focus() {
    this.text.focus();
    this.text.select();
  }

  #listen() {
    find("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    find("add-without").addEventListener("click", () => this.#ask("without", say("The person does not have"), "a hat"));
    find("add-also").addEventListener("click", () => this.#ask("also", say("The same person, in other words"), "somebody in a long dark coat"));
    find("add-picture").addEventListener("click", () => find("picture").click());
    find("picture").addEventListener("change", ({ target }) => target.files[0] && this.takePicture(target.files[0]));
    find("term").addEventListener("keydown", (event) => this.#onTermKey(event));
    find("term-add").addEventListener("click", () => this.#add());
    find("weight").addEventListener("change", () => this.submit());
    find("filters-toggle").addEventListener("click", ({ currentTarget: toggle }) => {
      toggle.setAttribute("aria-expanded", String(toggle.getAttribute("aria-expanded") !== "true"));
    });
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => this.#onDrop(event));
    addEventListener("paste", ({ clipboardData }) => clipboardData.files[0] && this.takePicture(clipboardData.files[0]));
  }

  #onDrop(event) {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) {
      this.takePicture(file);
    }
  }

  #ask(kind, label, placeholder) {
    this.adding = kind;
    find("term-label").textContent = label;
    find("term").placeholder = placeholder;
    find("term").value = "";
    find("term-box").hidden = false;
    find("term").focus();
  }

  #onTermKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.#add();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      find("term-box").hidden = true;
      find(`add-${this.adding}`).focus();
    }
  }

  #add() {
    const term = find("term").value.trim();
    find("term-box").hidden = true;
    find(`add-${this.adding}`).focus();
    if (term) {
      this.terms[this.adding] = distinct([...this.terms[this.adding], term]);
      this.#changed();
    }
  }

  #remove(kind, term) {
    this.terms[kind] = Array.isArray(this.terms[kind]) ? this.terms[kind].filter((other) => other !== term) : "";
    find("picture").value = "";
    this.#changed();
    this.text.focus();
  }

  // Searches again, unless only a description is missing yet.
  #changed() {
    this.#showTerms();
    if (this.text.value.trim() || this.terms.like || this.terms.picture) {
      this.submit();
    }
  }

  #showTerms() {
    const { also, without, like, picture } = this.terms;
    const chips = [
      ...also.map((term) => this.#chip("also", term, say("or: {term}", { term }))),
      ...without.map((term) => this.#chip("without", term, say("not {term}", { term }))),
      ...(like ? [this.#chip("like", like, say("like this person"), this.thumbnail(like))] : []),
      ...(picture ? [this.#chip("picture", picture, say("your picture"), this.#preview(picture))] : []),
    ];
    find("terms").replaceChildren(...chips);
    find("add-also").hidden = also.length >= MOST_TERMS;
    find("add-without").hidden = without.length >= MOST_TERMS;
    find("weight-box").hidden = !(this.text.value.trim() && (like || picture));
  }

  #chip(kind, term, words, image = null) {
    const label = say("Remove “{words}”", { words });
    return element("li", { class: `term ${kind}` }, image, element("span", {}, words),
      element("button", { type: "button", "aria-label": label, title: label, onclick: () => this.#remove(kind, term) }, icon("remove")));
  }

  #preview(picture) {
    const image = element("img", { alt: "" });
    image.addEventListener("load", () => URL.revokeObjectURL(image.src));
    pictureUrl(picture).then((url) => { image.src = url; }, () => image.remove());
    return image;
  }
}

function distinct(terms) {
  return [...new Set(terms)].slice(0, MOST_TERMS);
}
