// Who is in a pane: a ready-made person, one that the user makes, nobody, or the holder of a pasted token.

import { NOBODY } from "./client.js";
import { fill, h } from "./dom.js";
import { avatar } from "./entries.js";
import { claimsOf } from "./suggestions.js";

const LIFETIMES = [[3600, "1 hour"], [90, "90 seconds"], [20, "20 seconds"]];
const TECHNICAL = new Set(["iss", "aud", "iat", "exp", "sub"]); // claims that say nothing about the person

export class PersonPicker {
  /**
   * `become(identity)` is called when somebody else is chosen, `refresh(identity)` when open sessions are to get a token
   * with these claims, and `lasting(seconds)` when tokens are to last so long.
   */
  constructor(id, { become, refresh, lasting }) {
    this.become = become;
    this.refresh = refresh;
    this.identity = NOBODY;
    this.people = [];
    this.leaving = new AbortController();
    this.mark = h("span", { class: "mark" });
    this.select = h("select", { id: `${id}-person`, class: "person", onchange: () => this.#chosen() });
    this.nobody = h("p", { class: "empty" }, "Connects without a token.");
    this.unmintable = h("p", { class: "empty", hidden: true });
    this.#buildClaims(id, lasting);
    this.#buildOwn(id);
    this.summary = h("summary", { class: "claims-line" });
    this.details = h(
      "details",
      { class: "token", onkeydown: (event) => event.key === "Escape" && this.#fold(), ontoggle: () => this.#toggled() },
      this.summary,
      h("div", { class: "token-body" }, this.nobody, this.unmintable, this.claimsForm, this.ownForm),
    );
    this.elements = [this.mark, h("label", { class: "hidden", for: `${id}-person` }, "Who is in this pane"), this.select, this.details];
    document.addEventListener("pointerdown", ({ target }) => this.#pressed(target), { signal: this.leaving.signal });
  }

  /**
   * Offer these people; whoever is chosen stays chosen. `entries` are the issuers for which tokens can be made, and
   * `unmintable` says why there are none.
   */
  offer(people, entries, unmintable) {
    this.people = people;
    this.unmintable.textContent = unmintable ?? "";
    this.unmintable.hidden = !unmintable;
    this.entries = entries;
    fill(
      this.select,
      people.map(({ name }) => h("option", { value: `person:${name}` }, name)),
      h("option", { value: "nobody" }, "nobody"),
      entries.length > 0 && h("option", { value: "new" }, "new person…"),
      h("option", { value: "token" }, "your own token…"),
    );
    fill(this.entry, entries.map(({ name }) => h("option", { value: name }, name)));
    this.entryField.hidden = entries.length < 2;
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
  }

  /** Let the user paste a token: there is nobody else whom the pane could be. */
  askForOwn() {
    this.#open("token");
    this.own.focus();
  }

  close() {
    this.leaving.abort();
  }

  #buildClaims(id, lasting) {
    this.claims = h("textarea", { id: `${id}-claims`, class: "claims", rows: "8", spellcheck: "false", autocomplete: "off" });
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.entry = h("select", { id: `${id}-entry` });
    this.entryField = h("p", { class: "field", hidden: true }, h("label", { for: `${id}-entry` }, "Issuer"), this.entry);
    this.refreshButton = h(
      "button",
      { type: "button", title: "Give the open sessions a token with these claims, without connecting again", onclick: () => this.#use(this.refresh) },
      "Refresh with these claims",
    );
    this.claimsForm = h(
      "form",
      { class: "own", onsubmit: (event) => this.#submit(event) },
      h("label", { for: `${id}-claims` }, "Claims of the token"),
      this.claims,
      h("p", { class: "hint" }, "iss, aud, iat and exp are filled in."),
      this.wrong,
      this.entryField,
      h(
        "p",
        { class: "field" },
        h("label", { for: `${id}-lifetime` }, "Tokens last"),
        h(
          "select",
          { id: `${id}-lifetime`, onchange: ({ target }) => lasting(Number(target.value)) },
          LIFETIMES.map(([seconds, text]) => h("option", { value: String(seconds) }, text)),
        ),
      ),
      h("div", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, "Connect with these claims"), this.refreshButton),
    );
  }

  #buildOwn(id) {
    this.own = h("textarea", { id: `${id}-own`, rows: "4", spellcheck: "false", autocomplete: "off", placeholder: "eyJ…" });
    this.ownClaims = h("pre", { class: "json", hidden: true });
    this.ownForm = h(
      "form",
      { class: "own", hidden: true, onsubmit: (event) => this.#useOwn(event) },
      h("label", { for: `${id}-own` }, "A token of your own"),
      this.own,
      h("button", { type: "submit", class: "primary" }, "Use this token"),
      this.ownClaims,
    );
  }

  #chosen() {
    const [kind, name] = this.select.value.split(/:(.*)/s);
    if (kind === "nobody") this.become(NOBODY);
    if (kind === "person") this.become({ kind, ...this.people.find((person) => person.name === name) });
    if (kind === "token") this.askForOwn();
    if (kind === "new") this.#makeNew();
  }

  /** Begin a person with the claims of the one who is here, or of the first one. */
  #makeNew() {
    const like = this.identity.claims ?? this.people[0]?.claims ?? {};
    this.#open("person");
    this.claims.value = JSON.stringify({ ...like, sub: "kim" }, null, 2);
    this.refreshButton.hidden = true;
    this.claims.focus();
  }

  #submit(event) {
    event.preventDefault();
    this.#use(this.become);
  }

  #use(then) {
    let claims;
    try {
      claims = JSON.parse(this.claims.value);
      if (claims === null || typeof claims !== "object" || Array.isArray(claims)) throw new SyntaxError("an object is needed: {…}");
    } catch (error) {
      this.wrong.textContent = `This is no JSON object: ${error.message}`;
      this.claims.focus();
      return;
    }
    this.details.open = false;
    const entry = this.entryField.hidden ? undefined : this.entry.value;
    then({ kind: "person", name: this.#nameFor(claims), claims, entry, made: true });
  }

  /** A name that is no ready-made person's with other claims. */
  #nameFor(claims) {
    const name = typeof claims.sub === "string" && claims.sub ? claims.sub : "somebody";
    const ready = this.people.find((person) => person.name === name && !person.made);
    return ready && JSON.stringify(ready.claims) !== JSON.stringify(claims) ? `${name} (edited)` : name;
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
    const { kind, name, claims, entry } = this.identity;
    this.select.value = kind === "person" ? `person:${name}` : kind;
    this.wrong.textContent = "";
    this.refreshButton.hidden = false;
    if (kind === "person") this.claims.value = JSON.stringify(claims, null, 2);
    if (entry) this.entry.value = entry;
    this.ownClaims.hidden = !(kind === "token" && claims);
    this.ownClaims.textContent = JSON.stringify(claims, null, 2);
    this.#showForm(kind);
  }

  #showForm(kind) {
    this.nobody.hidden = kind !== "nobody";
    this.claimsForm.hidden = kind !== "person";
    this.ownForm.hidden = kind !== "token";
  }

  #open(kind) {
    this.wrong.textContent = "";
    this.#showForm(kind);
    this.details.open = true;
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
