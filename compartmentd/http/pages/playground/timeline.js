// What happened in one place, oldest first; whoever reads the end of it keeps reading the end.

import { h } from "./dom.js";
import { entryElement } from "./entries.js";

const NEAR_END = 40; // pixels from the end that still count as the end

export class Timeline {
  constructor(explainer) {
    this.context = { explainer, grow: (change) => this.#grow(change) };
    this.element = h("ol", { class: "timeline", role: "log", "aria-live": "polite", tabindex: "0" });
  }

  /** Show these entries, from the end. */
  show(entries) {
    this.element.replaceChildren(...entries.map((entry) => entryElement(entry, this.context)));
    this.#toEnd();
  }

  append(entry) {
    this.#grow(() => this.element.append(entryElement(entry, this.context)));
    if (entry.kind === "sent") this.#toEnd();
  }

  /** Say whose entries these are, and what to tell while there are none. */
  describe(label, empty) {
    this.element.setAttribute("aria-label", label);
    this.element.dataset.empty = empty;
  }

  #grow(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.element;
    change();
    if (scrollHeight - scrollTop - clientHeight < NEAR_END) this.#toEnd();
  }

  #toEnd() {
    this.element.scrollTop = this.element.scrollHeight;
  }
}
