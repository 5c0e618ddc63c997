// Who is in a pane: a ready-made person, nobody, or whoever a pasted token speaks of.

import { NOBODY } from "./client.js";
import { fill, h } from "./dom.js";
import { avatar } from "./entries.js";
import { claimsOf } from "./suggestions.js";

const LIFETIMES = [[3600, "1 hour"], [90, "90 seconds"], [20, "20 seconds"]];
const TECHNICAL = new Set(["iss", "aud", "iat", "exp", "sub"]); // claims that say nothing about the person

export class PersonPicker {
  /** `become(identity)` is called when somebody else is chosen, `lasting(seconds)` when tokens are to last so long. */
  constructor(id, { become, lasting }) {
    this.become = become;
    this.identity = NOBODY;
    this.people = [];
    this.leaving = new AbortController();
    this.mark = h("span", { class: "mark" });
    this.select = h("select", { id: `${id}-person`, class: "person", onchange: () => this.#chosen() });
    this.claims = h("div", { class: "claims" });
    this.#buildOwn(id);
    this.#buildLifetime(id, lasting);
    this.summary = h("summary", { class: "claims-line" });
    this.details = h(
      "details",
      { class: "token", onkeydown: (event) => event.key === "Escape" && this.#fold(), ontoggle: () => this.#toggled() },
      this.summary,
      h("div", { class: "token-body" }, this.ownForm, this.claims, this.lifetimeField),
    );
    this.elements = [this.mark, h("label", { class: "hidden", for: `${id}-person` }, "Who is in this pane"), this.select, this.details];
    document.addEventListener("pointerdown", ({ target }) => this.#pressed(target), { signal: this.leaving.signal });
  }

  /** Offer these people; whoever is chosen stays chosen. */
  offer(people) {
    this.people = people;
    fill(
      this.select,
      people.map(({ name }) => h("option", { value: `person:${name}` }, name)),
      h("option", { value: "nobody" }, "nobody"),
      h("option", { value: "token" }, "your own token…"),
    );
    this.#settle();
  }

  /** Show who it is. */
  show(identity) {
    this.identity = identity;
    const { kind, name, claims } = identity;
    this.details.open = false;
    this.#settle();
    fill(this.mark, kind === "nobody" ? h("span", { class: "avatar is-nobody", "aria-hidden": "true" }, "–") : avatar(name));
    fill(this.summary, h("span", { class: "chips" }, chips(claims)), h("span", { class: "hidden" }, " – claims and token"));
    fill(
      this.claims,
      claims ? h("pre", { class: "json" }, JSON.stringify(claims, null, 2)) : h("p", { class: "empty" }, "Connects without a token."),
    );
  }

  close() {
    this.leaving.abort();
  }

  #buildOwn(id) {
    this.own = h("textarea", { id: `${id}-own`, rows: "4", spellcheck: "false", autocomplete: "off", placeholder: "eyJ…" });
    this.ownForm = h(
      "form",
      { class: "own", hidden: true, onsubmit: (event) => this.#useOwn(event) },
      h("label", { for: `${id}-own` }, "A token of your own"),
      this.own,
      h("button", { type: "submit", class: "primary" }, "Use this token"),
    );
  }

  #buildLifetime(id, lasting) {
    this.lifetimeField = h(
      "p",
      { class: "field" },
      h("label", { for: `${id}-lifetime` }, "Tokens last"),
      h(
        "select",
        { id: `${id}-lifetime`, onchange: ({ target }) => lasting(Number(target.value)) },
        LIFETIMES.map(([seconds, text]) => h("option", { value: String(seconds) }, text)),
      ),
    );
  }

  #chosen() {
    const [kind, name] = this.select.value.split(/:(.*)/s);
    if (kind === "nobody") this.become(NOBODY);
    if (kind === "person") this.become({ kind, ...this.people.find((person) => person.name === name) });
    if (kind === "token") this.#askForOwn();
  }

  #askForOwn() {
    this.ownForm.hidden = false;
    this.claims.hidden = this.lifetimeField.hidden = true;
    this.details.open = true;
    this.own.focus();
  }

  #useOwn(event) {
    event.preventDefault();
    const token = this.own.value.trim();
    const claims = claimsOf(token);
    const name = typeof claims?.sub === "string" && claims.sub ? claims.sub : "somebody";
    this.become({ kind: "token", token, claims, name });
  }

  /** Let the controls say who it is, whatever was begun and not done. */
  #settle() {
    const { kind, name } = this.identity;
    this.select.value = kind === "person" ? `person:${name}` : kind;
    this.ownForm.hidden = kind !== "token";
    this.claims.hidden = false;
    this.lifetimeField.hidden = kind !== "person";
  }

  #toggled() {
    if (!this.details.open) this.#settle();
  }

  #fold() {
    this.details.open = false;
    this.summary.focus();
  }

  #pressed(target) {
    if (!this.details.contains(target) && target !== this.select) this.details.open = false;
  }
}

function chips(claims) {
  if (!claims) return "no claims";
  const telling = Object.entries(claims).filter(([claim]) => !TECHNICAL.has(claim));
  return telling.length > 0 ? telling.map(([claim, value]) => chip(claim, value)) : "no claims but the name";
}

function chip(claim, value) {
  const text = Array.isArray(value) ? value.join(", ") : typeof value === "string" ? value : JSON.stringify(value);
  return h("span", { class: "chip" }, h("span", { class: "chip-name" }, claim), " ", text);
}
