// The list of all decisions, newest first, each of which opens to its reasons.

import { baseName, h, time } from "./dom.js";
import { explanation } from "./explanation.js";

const SHOWN = 200;

export class Decisions {
  constructor({ list, empty, latest }, explainer) {
    this.list = list;
    this.empty = empty;
    this.latest = latest;
    this.explainer = explainer;
  }

  add(record) {
    this.empty.hidden = true;
    this.list.prepend(row(record, this.explainer));
    while (this.list.children.length > SHOWN) this.list.lastElementChild.remove();
    this.latest.replaceChildren(outcome(record), " ", what(record));
  }

  /** Say that the page could not keep up. */
  lost(count) {
    this.list.prepend(h("li", { class: "decision-lost" }, `${count} decisions came too fast to be shown`));
  }
}

function row(record, explainer) {
  const details = h(
    "details",
    { class: "decision" },
    h(
      "summary",
      {},
      time(record.at),
      outcome(record),
      h("span", { class: "decision-who" }, record.subject ?? "nobody"),
      h("span", { class: "decision-what" }, what(record)),
      h("span", { class: "decision-lines" }, record.lines.map(({ file, line }) => `${baseName(file)}:${line}`).slice(0, 3).join(" ")),
      h("span", { class: "decision-generation", title: "generation" }, `g${record.generation}`),
    ),
  );
  details.addEventListener("toggle", () => details.append(explanation(record, explainer)), { once: true });
  return h("li", {}, details);
}

function outcome({ allowed, code }) {
  return h("code", { class: allowed ? "outcome is-allowed" : "outcome is-refused" }, allowed ? "allowed" : code);
}

const REQUESTS = { auto_join: "auto-join", judge: "judge again" };

function what({ request, namespace, room, event }) {
  return [REQUESTS[request] ?? request, event, room, room === null ? null : "in", namespace].filter(Boolean).join(" ");
}
