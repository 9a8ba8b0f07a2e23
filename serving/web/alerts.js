// Alerts: what is watched, and whom that finds as it happens.

import { get, request, send } from "./api.js";
import { cameraName, element, find, icon, localTime, message, percent } from "./elements.js";
import { Pictures } from "./pictures.js";
import { WatchForm } from "./watch_form.js";
import { say } from "./words.js";

const RETRY = 2000;
const SHOWN = 60;

export class AlertsView {
  // `current()` is the search that is shown, `like(crop)` searches for somebody like this.
  constructor({ current, like }) {
    this.like = like;
    this.dialog = find("alerts");
    this.form = new WatchForm({ current, act: (ask) => this.#try(ask) });
    this.pictures = new Pictures();
    this.figures = null;
    this.unseen = 0;
    this.lastEvent = "";
    find("alerts-open").addEventListener("click", () => this.open());
    find("alerts-close").addEventListener("click", () => this.dialog.close());
  }

  // Once the key is known: shows the view where alerts are switched on, and listens.
  async start() {
    try {
      this.figures = await get("v1/alerts/figures");
    } catch {
      return; // an older service, or one that is away: the page works without
    }
    find("alerts-open").hidden = !this.figures.enabled;
    if (this.figures.enabled && !this.listening) {
      this.listening = true;
      this.#listen();
    }
  }

  async open() {
    if (!this.figures?.enabled) {
      return;
    }
    this.#count(0);
    this.form.open(this.figures);
    this.dialog.showModal();
    await this.#load();
  }

  // Asks for something, and shows what is watched afterwards; a refusal stands below the form. Whether it was taken.
  async #try(ask) {
    this.form.refuse("");
    let taken = true;
    try {
      await ask();
    } catch (error) {
      this.form.refuse(error.message);
      taken = false;
    }
    await this.#load();
    return taken;
  }

  async #load() {
    try {
      const [{ watched_searches: watched }, { alerts }] = await Promise.all([get("v1/watched-searches"), get(`v1/alerts?limit=${SHOWN}`)]);
      const { problem } = this.figures = await get("v1/alerts/figures");
      find("alerts-problem").replaceChildren(...(problem && watched.length ? [message("error", say("Nothing is compared at the moment."), problem)] : []));
      find("alerts-watched").replaceChildren(...watched.map((one) => this.#watchedRow(one)));
      find("alerts-watched-none").hidden = watched.length > 0;
      this.pictures.release();
      this.pictures = new Pictures();
      find("alerts-list").replaceChildren(...alerts.map((alert) => this.#card(alert)));
      find("alerts-list-none").hidden = alerts.length > 0;
    } catch (error) {
      find("alerts-problem").replaceChildren(message("error", say("The alerts could not be loaded."), error.message));
    }
  }

  #watchedRow(watched) {
    const path = `v1/watched-searches/${watched.watch_id}`;
    const change = ({ target }) => this.#try(() => send("PATCH", path, { enabled: target.checked }));
    const forget = () => this.#try(() => send("DELETE", path));
    const label = say("Stop watching for “{title}”, and forget its alerts", { title: watched.name });
    const title = say("Change “{title}”", { title: watched.name });
    const state = [
      watched.text, watched.cameras?.map(cameraName).join(", "), say("from {threshold}", { threshold: percent(watched.threshold) }), watched.alerts === 1 ? say("1 alert") : say("{count} alerts", { count: watched.alerts }),
      watched.waiting ? say("{count} wait", { count: watched.waiting }) : "", watched.quiet ? say("quiet hours") : "", watched.ended,
    ];
    return element("li", {},
      element("label", { class: "switch" }, element("input", { type: "checkbox", checked: watched.enabled, onchange: change }), element("span", {}, watched.name)),
      element("small", {}, state.filter(Boolean).join(" · ")),
      element("button", { type: "button", class: "chip", "aria-label": title, title, onclick: () => this.form.change(watched) }, say("change")),
      element("button", { type: "button", class: "forget", "aria-label": label, title: label, onclick: forget }, icon("remove")));
  }

  #card(alert) {
    const like = () => {
      this.dialog.close();
      this.like(alert);
    };
    const waits = alert.released_at === null ? [element("small", { class: "waits" }, say("waits"))] : [];
    return element("li", { "data-alert-id": alert.alert_id },
      this.pictures.image(alert),
      element("strong", {}, alert.name),
      element("small", {}, `${cameraName(alert.camera_id)}, ${localTime(alert.captured_at)}`),
      element("small", {}, say("confidence {share}", { share: percent(alert.confidence) })), ...waits,
      element("button", { type: "button", class: "chip", onclick: like }, say("more like this")));
  }

  // Follows the stream of events for as long as the page is open; after a break from the last event on.
  async #listen() {
    for (;;) {
      try {
        const headers = this.lastEvent ? { "Last-Event-ID": this.lastEvent } : {};
        const response = await request("v1/alerts/events", { headers, cache: "no-store" });
        await this.#read(response.body.pipeThrough(new TextDecoderStream()).getReader());
      } catch (error) { // the service is away or ends: the same as the end of the stream
        if (error.status === 401) { // another key starts another
          this.listening = false;
          return;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
  }

  async #read(reader) {
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      events.forEach((event) => this.#take(event));
    }
  }

  #take(event) {
    const fields = Object.fromEntries(event.split("\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
    this.lastEvent = fields.id ?? this.lastEvent; // the first names no alert, but where the stream begins
    if (fields.event !== "alert") {
      return;
    }
    const alert = JSON.parse(fields.data);
    const [card, list] = [this.#card(alert), find("alerts-list")];
    const before = list.querySelector(`[data-alert-id="${alert.alert_id}"]`);
    if (before) {
      before.replaceWith(card);
      return;
    }
    list.prepend(card);
    list.children[SHOWN]?.remove(); // a page that stays open all day holds no more than one that was just opened
    find("alerts-list-none").hidden = true;
    find("alerts-news").textContent = say("New alert: {name}, camera {camera}", { name: alert.name, camera: cameraName(alert.camera_id) });
    if (!this.dialog.open) {
      this.#count(this.unseen + 1);
    }
  }

  #count(unseen) {
    this.unseen = unseen;
    find("alerts-unseen").textContent = unseen ? ` (${unseen})` : "";
  }
}
