// Reads a time field. On the night when the clocks go back an hour comes twice, in spring one never comes.

import { say } from "./words.js";

const DAY = 86_400_000;
const MINUTE = 60_000;

export class TimeError extends Error {}

// All moments at which the clocks here show this time ("2026-10-25T02:30"), in order: one, two or none.
export function moments(local) {
  const asUtc = Date.parse(`${local}Z`);
  const offsets = [-DAY, DAY].map((away) => new Date(asUtc + away).getTimezoneOffset());
  const possible = [...new Set(offsets)].map((offset) => new Date(asUtc + offset * MINUTE));
  return possible.filter((moment) => shownAt(moment) === asUtc).sort((one, other) => one - other);
}

// "UTC+02:00"
export function zoneAt(moment) {
  const minutes = -moment.getTimezoneOffset();
  const digits = (number) => String(Math.trunc(Math.abs(number))).padStart(2, "0");
  return `UTC${minutes < 0 ? "−" : "+"}${digits(minutes / 60)}:${digits(minutes % 60)}`;
}

function shownAt(moment) {
  return moment.getTime() - moment.getTimezoneOffset() * MINUTE;
}

// A date and time field, and beside it a choice that is shown only while the time comes twice.
export class TimeField {
  constructor(input, choice) {
    this.input = input;
    this.choice = choice;
    input.addEventListener("input", () => this.#offer());
    this.#offer();
  }

  // The moment in UTC, null if the field is empty. Throws a TimeError if the clocks never show this time.
  value() {
    if (!this.input.value) {
      return null;
    }
    const possible = moments(this.input.value);
    if (!possible.length) {
      const [date, time] = this.input.value.split("T");
      throw new TimeError(
        say("The clocks never show {date} at {time}: they go forward over it. Choose a time before or after.", { date, time }));
    }
    return possible[possible.length > 1 ? Number(this.choice.value) : 0].toISOString();
  }

  // Shows a moment that `value` gave, "" for none. A broken address may hold anything: the field is then empty.
  set(iso) {
    const moment = new Date(iso);
    const shown = new Date(shownAt(moment));
    this.input.value = Number.isNaN(shown.getTime()) ? "" : shown.toISOString().slice(0, 19);
    this.#offer();
    if (this.input.value) {
      this.choice.value = String(moments(this.input.value).findIndex((one) => one.getTime() === moment.getTime()));
    }
  }

  #offer() {
    const possible = this.input.value ? moments(this.input.value) : [];
    this.choice.hidden = possible.length < 2;
    const words = [(zone) => say("the first time, {zone}", { zone }), (zone) => say("the second time, {zone}", { zone })];
    this.choice.replaceChildren(...possible.map((moment, which) => new Option(words[which](zoneAt(moment)), which)));
  }
}
