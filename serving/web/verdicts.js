// What people said of candidates: one's own verdicts are the pressed buttons, those of others stand beside them.

import { get, post } from "./api.js";
import { showVerdict } from "./cards.js";
import { element, find, localTime } from "./elements.js";
import { say } from "./words.js";

const AT_ONCE = 50; // crops of one request: their names are part of its address, of which proxies take 8 KB
const WITHDRAWN = "withdrawn";

export class Verdicts {
  constructor() {
    this.forget();
  }

  // Before another search: a verdict says whether a candidate is whom that search was for.
  forget() {
    this.own = new Map();
    this.notes = new Map();
    this.others = new Map();
  }

  // Brings back what was said of these candidates in answer to this search, by whomever.
  async load(candidates, asked) {
    const names = candidates.map(({ crop_id: cropId }) => cropId);
    const { own } = this;
    for (let start = 0; start < names.length; start += AT_ONCE) {
      const given = new URLSearchParams(names.slice(start, start + AT_ONCE).map((name) => ["crop_id", name]));
      const { verdicts } = await get(`v1/verdicts?${given}`);
      if (own !== this.own) {
        return; // another search began meanwhile
      }
      verdicts.forEach((said) => this.#take(said, asked));
    }
    names.forEach((name) => this.show(name));
  }

  // Records a verdict; the one given already is withdrawn, unless a note is added to it.
  async judge(searchId, cropId, verdict, note = "") {
    const isWithdrawn = this.own.get(cropId) === verdict && note === this.note(cropId);
    const taken = isWithdrawn ? WITHDRAWN : verdict;
    const { own, notes } = this; // another search may begin before the answer comes
    await post("v1/verdicts", { search_request_id: searchId, crop_id: cropId, verdict: taken, note });
    own.set(cropId, taken);
    notes.set(cropId, isWithdrawn ? "" : note);
    this.show(cropId);
  }

  note(cropId) {
    return this.notes.get(cropId) ?? "";
  }

  // Marks buttons and cards of a crop, and says what others said.
  show(cropId) {
    showVerdict(cropId, this.own.get(cropId));
    const said = (this.others.get(cropId) ?? []).filter(({ isAboutThis }) => isAboutThis);
    for (const place of document.querySelectorAll(`[data-said-of="${CSS.escape(cropId)}"]`)) {
      place.replaceChildren(...said.map((each) => element("span", { class: each.verdict }, inShort(each))));
    }
  }

  // All that others said of a crop, and of whom they said it.
  list(cropId) {
    const rows = (this.others.get(cropId) ?? []).map((each) => element("li", { class: each.verdict }, inFull(each)));
    find("detail-said").replaceChildren(...rows);
    find("detail-said").hidden = rows.length === 0;
  }

  #take(said, asked) {
    const isAboutThis = isSameQuestion(said, asked);
    if (said.mine && isAboutThis) {
      this.own.set(said.crop_id, said.verdict);
      this.notes.set(said.crop_id, said.note);
    } else {
      this.others.set(said.crop_id, [...(this.others.get(said.crop_id) ?? []), { ...said, isAboutThis }]);
    }
  }
}

// Whether two searches are for the same person. Of a sent picture only its hash is known: each is its own question.
function isSameQuestion({ text, beside_text: beside }, asked) {
  const same = (one = [], other = []) => JSON.stringify(one) === JSON.stringify(other);
  return !asked.picture && !beside.image && text.toLowerCase() === asked.text.toLowerCase() && (beside.like ?? "") === asked.like
    && same(beside.also, asked.also) && same(beside.without, asked.without);
}

function inShort({ verdict, who }) {
  return verdict === "confirmed" ? say("confirmed by {who}", { who }) : say("rejected by {who}", { who });
}

function inFull(said) {
  const { isAboutThis, text, at, note } = said;
  const about = isAboutThis ? "" : text ? `, ${say("asked for “{text}”", { text })}` : `, ${say("asked for a picture")}`;
  return `${inShort(said)}${about}, ${localTime(at)}${note && `: ${note}`}`;
}
