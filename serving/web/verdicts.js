// What people said of candidates.

import { post } from "./api.js";
import { showVerdict } from "./cards.js";

export class Verdicts {
  constructor() {
    this.forget();
  }

  // Before another search: a verdict says whether a candidate is whom that search was for.
  forget() {
    this.given = new Map();
  }

  of(cropId) {
    return this.given.get(cropId);
  }

  // Records a verdict; the one given already is withdrawn.
  async judge(searchId, cropId, verdict) {
    const taken = this.given.get(cropId) === verdict ? "withdrawn" : verdict;
    await post("v1/verdicts", { search_request_id: searchId, crop_id: cropId, verdict: taken });
    this.given.set(cropId, taken);
    this.show(cropId);
  }

  show(cropId) {
    showVerdict(cropId, this.given.get(cropId));
  }
}
