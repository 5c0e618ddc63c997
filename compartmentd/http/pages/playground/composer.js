// Where a person writes: an event, its data, and a look at what will be sent.

import { fill, h } from "./dom.js";
import { dataOf } from "./suggestions.js";

const NOT_DECLARED = "shout"; // an event to be refused with

export class Composer {
  #place = null;
  #last = "";

  /** `publish(event, typed)` is called with what was typed. */
  constructor(id, publish) {
    this.event = h("select", { id: `${id}-event`, class: "event" });
    this.text = h("input", {
      id: `${id}-text`,
      autocomplete: "off",
      placeholder: "Text, or JSON",
      oninput: () => this.#preview(),
      onkeydown: (event) => this.#again(event, publish),
    });
    this.sends = h("p", { class: "sends" });
    this.element = h(
      "form",
      { class: "composer", onsubmit: (event) => this.#submit(event, publish) },
      h("label", { class: "hidden", for: `${id}-event` }, "Event"),
      this.event,
      h("label", { class: "hidden", for: `${id}-text` }, "Data"),
      this.text,
      h("button", { type: "submit", class: "primary" }, "Publish"),
      this.sends,
    );
  }

  /**
   * Offer the events of a place, and one that is none of them; the choice is kept while the place is the same. Where
   * nobody may publish there is nothing to offer.
   */
  offer(place, names, speaks) {
    this.element.hidden = !speaks;
    const chosen = this.#place === place ? this.event.value : "";
    this.#place = place;
    fill(
      this.event,
      names.map((name) => h("option", { value: name }, name)),
      !names.includes(NOT_DECLARED) && h("option", { value: NOT_DECLARED }, `${NOT_DECLARED} (not declared)`),
    );
    this.event.value = [...names, NOT_DECLARED].includes(chosen) ? chosen : (names[0] ?? NOT_DECLARED);
  }

  #submit(event, publish) {
    event.preventDefault();
    const typed = this.text.value;
    if (!typed) return;
    this.#last = typed;
    this.text.value = "";
    this.#preview();
    publish(this.event.value, typed);
  }

  // Enter held down publishes the same again: that is how a person meets a rate.
  #again(event, publish) {
    if (event.key !== "Enter" || !event.repeat || this.text.value) return;
    event.preventDefault();
    if (this.#last) publish(this.event.value, this.#last);
  }

  #preview() {
    const typed = this.text.value;
    fill(this.sends, typed ? ["sends ", h("code", {}, JSON.stringify(dataOf(typed)))] : "");
  }
}
