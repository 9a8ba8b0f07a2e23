// The form of a watched search: a new one, or one that is watched already. How right alerts are at its threshold is said
// before it is sent.

import { readAddress } from "./address.js";
import { post, send } from "./api.js";
import { element, find, percent } from "./elements.js";
import { savedSearches } from "./history.js";
import { say } from "./words.js";

const NEW = { threshold: 0.6, webhook: "", quiet_hours: null, most_per_hour: 60 };
const STREAMS = {
  synthetic: (values) => say("Drawn people: {right} of the alerts were right; {found} of the people watched for raised one.", values),
  footage: (values) => say("Real footage: {right} of the alerts were right; {found} of the people watched for raised one.", values),
};

export class WatchForm {
  // `current()` is the search that is shown; `act(ask)` asks for something and says whether it was taken.
  constructor({ current, act }) {
    this.current = current;
    this.act = act;
    this.changed = null; // the watched search that the form shows, if it shows one
    find("alerts-threshold").addEventListener("input", () => this.#sayFigures());
    find("alerts-search").addEventListener("change", () => this.#nameSearch());
    find("alerts-cancel").addEventListener("click", () => this.#offerNew());
    find("alerts-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  open(figures) {
    this.figures = figures;
    find("alerts-webhook-box").hidden = !figures.webhooks;
    this.#offerNew();
  }

  // Shows what is watched, to be changed.
  change(watched) {
    this.changed = watched;
    this.#show(say("Change “{title}”", { title: watched.name }), watched);
    find("alerts-form").scrollIntoView({ block: "nearest" });
    find("alerts-threshold").focus();
  }

  // Says why something was not taken; "" says nothing.
  refuse(reason) {
    find("alerts-wrong").textContent = reason;
    find("alerts-wrong").hidden = !reason;
  }

  // What can be watched: one description and nothing else. That of the page first, then those saved in this browser.
  #offerNew() {
    const current = { name: this.current().text, state: this.current() };
    const saved = savedSearches().map(({ name, fragment }) => ({ name, state: readAddress(fragment) }));
    this.searches = [current, ...saved].filter(({ state }) => isOneDescription(state));
    find("alerts-search").replaceChildren(...this.searches.map(({ name }, place) => new Option(name, place)));
    this.changed = null;
    this.#show(say("Watch a search"), NEW);
    this.#nameSearch();
  }

  #nameSearch() {
    find("alerts-name").value = this.searches[find("alerts-search").value]?.name ?? "";
  }

  #show(title, watched) {
    this.refuse("");
    this.zone = watched.quiet_hours?.time_zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
    find("alerts-form-title").textContent = title;
    find("alerts-form").hidden = !(this.changed || this.searches.length);
    find("alerts-none").hidden = !find("alerts-form").hidden;
    find("alerts-search-box").hidden = this.changed !== null;
    find("alerts-cancel").hidden = this.changed === null;
    find("alerts-submit").textContent = this.changed ? say("Save") : say("Watch");
    find("alerts-name").value = watched.name ?? "";
    find("alerts-threshold").value = watched.threshold;
    find("alerts-webhook").value = watched.webhook;
    find("alerts-most").value = watched.most_per_hour;
    find("alerts-quiet-start").value = watched.quiet_hours?.start.slice(0, 5) ?? "";
    find("alerts-quiet-end").value = watched.quiet_hours?.end.slice(0, 5) ?? "";
    this.shown = this.#values();
    this.#sayFigures();
  }

  #values() {
    const [start, end] = [find("alerts-quiet-start").value, find("alerts-quiet-end").value];
    return {
      name: find("alerts-name").value, threshold: Number(find("alerts-threshold").value), webhook: find("alerts-webhook").value,
      most_per_hour: Number(find("alerts-most").value), quiet_hours: start || end ? { start, end, time_zone: this.zone } : null,
    };
  }

  #sayFigures() {
    const threshold = Number(find("alerts-threshold").value);
    find("alerts-from").textContent = percent(threshold);
    const said = this.figures.measured.streams.map((stream) => figuresOf(stream, threshold)).filter(Boolean);
    find("alerts-figures").replaceChildren(...(said.length ? said : [say("How right alerts are was not measured.")])
      .map((words) => element("li", {}, words)));
  }

  async #submit() {
    const values = this.#values();
    const quiet = values.quiet_hours;
    if (quiet && (!quiet.start || !quiet.end || quiet.start === quiet.end)) {
      this.refuse(say("A time of day needs two different ends."));
      return;
    }
    const ask = this.changed ? () => this.#save(values) : () => this.#watch(values);
    if (await this.act(ask)) {
      this.#offerNew();
    }
  }

  #watch(values) {
    const { state } = this.searches[find("alerts-search").value];
    return post("v1/watched-searches", {
      ...values, text: state.text, cameras: state.cameras.length ? state.cameras : null,
      camera_groups: state.groups.length ? state.groups : null, purpose: state.purpose,
    });
  }

  // Sends only what differs: somebody else may have changed the rest meanwhile.
  #save(values) {
    const differs = ([name, value]) => JSON.stringify(value) !== JSON.stringify(this.shown[name]);
    const changes = Object.fromEntries(Object.entries(values).filter(differs));
    const path = `v1/watched-searches/${this.changed.watch_id}`;
    return Object.keys(changes).length ? send("PATCH", path, { ...changes, purpose: this.current().purpose }) : null;
  }
}

// Only for one description is confidence calibrated.
function isOneDescription({ text, also, without, like, picture, after, before, dailyAfter, dailyBefore }) {
  return text && !(also.length || without.length || like || picture || after || before || dailyAfter || dailyBefore);
}

// What alerts were at the next lower threshold that was measured; "" if at none.
function figuresOf({ name, points }, threshold) {
  const point = points.filter((one) => one.threshold <= threshold + 1e-9).at(-1);
  if (!point || !(name in STREAMS)) {
    return "";
  }
  const right = point.precision === null ? "–" : percent(point.precision);
  const said = STREAMS[name]({ right, found: percent(point.recall) });
  const isThere = Math.abs(point.threshold - threshold) < 1e-9;
  return isThere ? said : `${said} ${say("(Measured at {threshold}.)", { threshold: percent(point.threshold) })}`;
}
