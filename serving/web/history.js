// The searches of this browser: the latest, and those that were saved under a name.

import { fragmentOf, readAddress, unopened } from "./address.js";
import { cameraName, element, find, icon, keep, localTime } from "./elements.js";
import { say } from "./words.js";

const RECENT = "personsearch-recent";
const SAVED = "personsearch-saved";
const MOST_RECENT = 50;

export class Searches {
  // `go(state)` starts a search; `current()` is the one that is shown.
  constructor({ go, current }) {
    this.go = go;
    this.current = current;
    this.dialog = find("searches");
    find("searches-open").addEventListener("click", () => this.open());
    find("searches-close").addEventListener("click", () => this.dialog.close());
    find("searches-clear").addEventListener("click", () => this.#write(RECENT, []));
    find("searches-save").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
  }

  // A picture stays in its tab: a search for one cannot be repeated later.
  remember(state) {
    if (!state.picture && !state.cursor) {
      const fragment = fragmentOf(unopened(state));
      const others = read(RECENT).filter((one) => one.fragment !== fragment);
      this.#write(RECENT, [{ fragment, at: new Date().toISOString() }, ...others].slice(0, MOST_RECENT));
    }
  }

  open() {
    const current = this.current();
    find("searches-save").hidden = !(current.text || current.like);
    find("searches-wrong").hidden = true;
    find("searches-name").value = inWords(current);
    this.#show();
    this.dialog.showModal();
  }

  #save() {
    const saved = { name: find("searches-name").value.trim(), fragment: fragmentOf({ ...unopened(this.current()), cursor: "" }) };
    const isKept = this.#write(SAVED, [...read(SAVED).filter(({ name }) => name !== saved.name), saved]);
    find("searches-save").hidden = isKept;
    find("searches-wrong").hidden = isKept;
  }

  #write(place, searches) {
    const isKept = keep(place, JSON.stringify(searches));
    this.#show();
    return isKept;
  }

  #show() {
    this.#list("searches-saved", SAVED, ({ name }) => name, ({ fragment }) => inWords(readAddress(fragment)));
    this.#list("searches-recent", RECENT, ({ fragment }) => inWords(readAddress(fragment)), ({ at }) => localTime(at));
  }

  #list(id, place, title, about) {
    const searches = read(place);
    find(id).replaceChildren(...searches.map((one) => this.#row(one, place, title(one), about(one))));
    find(`${id}-none`).hidden = searches.length > 0;
  }

  #row(search, place, title, about) {
    const repeat = () => {
      this.dialog.close();
      this.go(readAddress(search.fragment));
    };
    const forget = () => this.#write(place, read(place).filter(({ fragment, name }) => fragment !== search.fragment || name !== search.name));
    const label = say("Forget “{title}”", { title });
    return element("li", {},
      element("button", { type: "button", class: "repeat", onclick: repeat }, element("span", {}, title), element("small", {}, about)),
      element("button", { type: "button", class: "forget", "aria-label": label, title: label, onclick: forget }, icon("remove")));
  }
}

export function savedSearches() {
  return read(SAVED);
}

function read(place) {
  try {
    return JSON.parse(localStorage.getItem(place)) ?? [];
  } catch {
    return []; // somebody else wrote there
  }
}

// "a red coat, not a hat · junction · case 17"
function inWords({ text, also, without, like, cameras, groups, dailyAfter, dailyBefore, purpose }) {
  const terms = [text || (like ? say("like this person") : ""), ...also.map((term) => say("or: {term}", { term })), ...without.map((term) => say("not {term}", { term }))];
  const names = cameras.length > 2 ? [say("{count} cameras", { count: cameras.length })] : cameras.map(cameraName);
  const hours = dailyAfter || dailyBefore ? `${dailyAfter || "00:00"}–${dailyBefore || "24:00"}` : "";
  return [terms.filter(Boolean).join(", "), [...groups, ...names].join(", "), hours, purpose].filter(Boolean).join(" · ");
}
