// The operations view: what is live, what is being built, what came of promotions, which cameras are silent or drift.

import { get } from "./api.js";
import { cameraName, element, find, localTime, message, percent } from "./elements.js";
import { locale, say } from "./words.js";

const INTERVAL = 5000;
const AGO = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];

export class Operations {
  constructor() {
    this.dialog = find("operations");
    this.openings = 0;
    find("operations-open").addEventListener("click", () => this.open());
    find("operations-close").addEventListener("click", () => this.dialog.close());
  }

  open() {
    find("operations-body").replaceChildren(element("p", { class: "small" }, say("loading …")));
    this.dialog.showModal();
    this.openings += 1;
    this.#follow(this.openings);
  }

  // An opening ends the following of the one before, which may still wait for its next turn.
  async #follow(opening) {
    while (this.dialog.open && opening === this.openings) {
      try {
        find("operations-body").replaceChildren(...parts(await get("v1/status")));
      } catch (error) {
        find("operations-body").replaceChildren(message("error", say("The state is unknown."), error.message));
      }
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    }
  }
}

function parts({ problem, collection, model, crops, waiting, cameras, drift, builds, promotions, promoters }) {
  const [leader] = promoters;
  const live = model ? say("version {version} of {name}, collection {collection}", { ...model, collection }) : say("nothing yet");
  return [
    ...(problem ? [message("error", say("Not as it should be."), problem)] : []),
    element("dl", {}, ...facts([
      [say("Live"), live],
      [say("Crops"), say("{crops} in the gallery, {waiting} wait to be indexed", { crops, waiting })],
      [say("Promoter"), leader ? `${leader.state} (${ago(leader.seconds_ago)})` : say("has not looked within the hour")],
    ])),
    table(say("Builds"), [say("Collection"), say("Progress"), say("Crops a second")], builds.map(buildRow), say("None is under way.")),
    table(say("Promotions"), [say("Version"), say("What came of it"), say("Last change")], promotions.map(promotionRow), say("None yet.")),
    table(say("Cameras, the longest silent first"), [say("Camera"), say("Crops"), say("Last crop")],
      cameras.sort((one, other) => one.last.localeCompare(other.last)).map(cameraRow), say("None yet.")),
    table(say("Drift by camera, the largest first"), [say("Camera"), say("Shift"), say("Quality"), say("No reliable match")],
      drift.sort((one, other) => (other.shift ?? -1) - (one.shift ?? -1)).map(driftRow), say("None yet.")),
    element("p", { class: "small" },
      say("Shift: how far the newest crops are from those of the calibration, in their deviations. No reliable match: of the first candidates since the service started.")),
  ];
}

function facts(rows) {
  return rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
}

function table(title, columns, rows, none) {
  if (!rows.length) {
    return element("section", {}, element("h3", {}, title), element("p", { class: "small" }, none));
  }
  const head = element("tr", {}, ...columns.map((column) => element("th", { scope: "col" }, column)));
  return element("section", {}, element("h3", {}, title),
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
}

function row(...cells) {
  return element("tr", {}, ...cells.map((cell) => element("td", {}, cell)));
}

function buildRow({ collection, crops, done, crops_per_second: rate, seconds_left: left }) {
  const share = crops ? percent(done / crops) : "–";
  const progress = say("{share}: {done} of {crops}", { share, done, crops });
  return row(collection, left === null ? progress : `${progress}, ${say("{minutes} min left", { minutes: Math.ceil(left / 60) })}`, String(rate));
}

function promotionRow({ version, collection, failure, attempts, changed_at: changed }) {
  const what = failure ? say("failed ({attempts}×): {failure}", { attempts, failure }) : say("went live as {collection}", { collection });
  return row(version, what, localTime(changed));
}

function cameraRow({ camera_id: camera, crops, last }) {
  return row(cameraName(camera), String(crops), `${ago((Date.now() - new Date(last)) / 1000)}, ${localTime(last)}`);
}

function driftRow({ camera_id: camera, shift, quality, first_candidates: count, no_reliable_match: unsure }) {
  return row(cameraName(camera), shift === null ? "–" : shift.toFixed(2), quality === null ? "–" : percent(quality),
    count ? say("{share} of {count}", { share: percent(unsure / count), count }) : "–");
}

function ago(seconds) {
  const [unit, length] = UNITS.find(([, long]) => seconds >= long) ?? UNITS.at(-1);
  return AGO.format(-Math.floor(seconds / length), unit);
}
