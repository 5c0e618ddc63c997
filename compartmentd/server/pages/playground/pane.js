// A pane: one person, their namespaces, their rooms, and what happens there.

import { Client, NOBODY } from "./client.js";
import { baseName, fill, h, scheduled } from "./dom.js";
import { avatar, entryElement } from "./entries.js";
import { claimsOf, dataOf, eventsOf, roomsToTry, templateOf } from "./suggestions.js";

const AT_ONCE = 6; // namespaces that are connected to when a person arrives
const NEAR_END = 40; // pixels from the end of a timeline that still count as the end
const NOT_DECLARED = "shout"; // an event to be refused with
const LIFETIMES = [[3600, "1 hour"], [90, "90 seconds"], [20, "20 seconds"]];
const STATES = { off: "not connected", connecting: "connecting…", on: "connected", refused: "refused", ended: "ended" };

let panesMade = 0;

export class Pane {
  /** `world` has the outline in force, the explainer, the mint, and `changed()` for whoever lists panes. */
  constructor(world, identity, { onclose }) {
    this.world = world;
    this.id = `pane-${++panesMade}`;
    this.client = new Client({
      listener: world.outline.public,
      mint: (claims) => world.admin.mint(claims, world.outline.entries.find(({ issuer }) => issuer === claims.iss)?.name),
      explain: (entry, asked) => world.explainer.explain(entry, asked),
      changed: (session, entry) => this.#changed(session, entry),
    });
    this.entries = { explainer: world.explainer, grow: (change) => this.#grow(change) };
    this.namespace = world.outline.namespaces[0]?.name ?? "/";
    this.room = null;
    this.render = scheduled(() => this.#render());
    this.#build(onclose);
    this.become(identity);
  }

  get session() {
    return this.client.session(this.namespace);
  }

  get declared() {
    return this.world.outline.namespaces.find(({ name }) => name === this.namespace);
  }

  become(identity) {
    this.client.become(identity);
    this.room = null;
    this.#selectPerson();
    for (const { name } of this.world.outline.namespaces.slice(0, AT_ONCE)) this.client.session(name).connect();
    this.#showTimeline();
    this.world.changed();
  }

  /** The configuration has changed: other people, namespaces and rooms may be on offer. */
  refresh() {
    if (!this.declared && this.world.outline.namespaces.length > 0) this.#selectNamespace(this.world.outline.namespaces[0].name);
    this.#offerPeople();
    this.render();
  }

  close() {
    this.client.close();
    this.closing.abort();
    this.element.remove();
  }

  // --- building ------------------------------------------------------------------------------------------------

  #build(onclose) {
    this.person = h("select", { id: `${this.id}-person`, class: "person", onchange: () => this.#chosen() });
    this.mark = h("span", { class: "mark" });
    this.claims = h("div", { class: "claims" });
    this.own = h("textarea", { id: `${this.id}-own`, rows: "4", spellcheck: "false", autocomplete: "off", placeholder: "eyJ…" });
    this.ownForm = h(
      "form",
      { class: "own", hidden: true, onsubmit: (event) => this.#useOwn(event) },
      h("label", { for: `${this.id}-own` }, "A token of your own"),
      this.own,
      h("button", { type: "submit", class: "primary" }, "Use this token"),
    );
    this.lifetime = h(
      "select",
      { id: `${this.id}-lifetime`, onchange: () => this.#live() },
      LIFETIMES.map(([seconds, text]) => h("option", { value: String(seconds) }, text)),
    );
    this.lifetimeField = h(
      "p",
      { class: "field" },
      h("label", { for: `${this.id}-lifetime` }, "Tokens last"),
      this.lifetime,
    );
    this.summary = h("summary", { class: "claims-line" });
    this.token = h("details", { class: "token" }, this.summary, h("div", { class: "token-body" }, this.ownForm, this.claims, this.lifetimeField));
    this.token.addEventListener("keydown", (event) => event.key === "Escape" && this.#closeToken());
    this.token.addEventListener("toggle", () => this.token.open || this.#selectPerson());
    this.closing = new AbortController();
    document.addEventListener(
      "pointerdown",
      ({ target }) => this.token.contains(target) || target === this.person || (this.token.open = false),
      { signal: this.closing.signal },
    );

    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Namespaces", onkeydown: (event) => this.#arrow(event) });
    this.state = h("div", { class: "state" });
    this.rail = h("div", { class: "rail-rooms" });
    this.joinInput = h("input", { id: `${this.id}-join`, placeholder: "room", autocomplete: "off", autocapitalize: "off", spellcheck: "false", maxlength: "256" });
    this.railBox = h(
      "nav",
      { class: "rail", "aria-label": "Rooms" },
      this.rail,
      h(
        "form",
        { class: "join", onsubmit: (event) => this.#joinTyped(event) },
        h("label", { class: "hidden", for: `${this.id}-join` }, "Join a room"),
        this.joinInput,
        h("button", { type: "submit" }, "Join"),
      ),
    );
    this.place = h("header", { class: "place" });
    this.timeline = h("ol", { class: "timeline", role: "log", "aria-live": "polite", tabindex: "0" });
    this.event = h("select", { id: `${this.id}-event`, class: "event" });
    this.text = h("input", { id: `${this.id}-text`, autocomplete: "off", placeholder: "Text, or JSON", oninput: () => this.#preview() });
    this.sends = h("p", { class: "sends" });
    this.composer = h(
      "form",
      { class: "composer", onsubmit: (event) => this.#publish(event) },
      h("label", { class: "hidden", for: `${this.id}-event` }, "Event"),
      this.event,
      h("label", { class: "hidden", for: `${this.id}-text` }, "Data"),
      this.text,
      h("button", { type: "submit", class: "primary" }, "Publish"),
      this.sends,
    );
    this.body = h(
      "div",
      { class: "body", role: "tabpanel", id: `${this.id}-body` },
      this.railBox,
      h("div", { class: "talk" }, this.place, this.timeline, this.composer),
    );
    this.element = h(
      "section",
      { class: "pane", id: this.id, "aria-label": "Pane" },
      h(
        "header",
        { class: "pane-head" },
        this.mark,
        h("label", { class: "hidden", for: `${this.id}-person` }, "Who is in this pane"),
        this.person,
        this.token,
        h("button", { type: "button", class: "icon", "aria-label": "Close this pane", title: "Close this pane", onclick: onclose }, "✕"),
      ),
      h("div", { class: "bar" }, this.tabs, this.state),
      this.body,
    );
    this.#offerPeople();
    this.#preview();
  }

  #offerPeople() {
    const people = this.world.outline.people.map(({ name }) => h("option", { value: `person:${name}` }, name));
    const others = [h("option", { value: "nobody" }, "nobody"), h("option", { value: "token" }, "your own token…")];
    fill(this.person, people, others);
    this.#selectPerson();
  }

  #selectPerson() {
    const { kind, name } = this.client.identity;
    this.person.value = kind === "person" ? `person:${name}` : kind;
    this.ownForm.hidden = kind !== "token";
    this.lifetimeField.hidden = kind !== "person";
    this.claims.hidden = false;
  }

  // --- what the person does ------------------------------------------------------------------------------------

  #chosen() {
    const [kind, name] = this.person.value.split(/:(.*)/s);
    if (kind === "nobody") this.become(NOBODY);
    if (kind === "person") this.become({ kind, ...this.world.outline.people.find((person) => person.name === name) });
    if (kind === "token") {
      this.ownForm.hidden = false;
      this.claims.hidden = this.lifetimeField.hidden = true;
      this.token.open = true;
      this.own.focus();
    } else {
      this.token.open = false;
    }
  }

  #useOwn(event) {
    event.preventDefault();
    const token = this.own.value.trim();
    const claims = claimsOf(token);
    this.token.open = false;
    this.become({ kind: "token", token, claims, name: typeof claims?.sub === "string" && claims.sub ? claims.sub : "Your token" });
  }

  #live() {
    this.client.lasting(Number(this.lifetime.value));
    this.token.open = false;
    this.become(this.client.identity);
  }

  #closeToken() {
    this.token.open = false;
    this.summary.focus();
  }

  #joinTyped(event) {
    event.preventDefault();
    const room = this.joinInput.value;
    if (!room) return;
    this.joinInput.value = "";
    this.#go(room);
  }

  /** Look at a room; one that is neither joined nor refused yet is joined on the way. */
  #go(room) {
    const session = this.session;
    this.room = room;
    if (room !== null && !session.rooms.has(room) && !session.tried.has(room)) session.join(room);
    this.#showTimeline();
  }

  #publish(event) {
    event.preventDefault();
    if (!this.text.value) return;
    this.session.publish(this.room, this.event.value, this.text.value);
    this.text.value = "";
    this.#preview();
  }

  #preview() {
    const typed = this.text.value;
    fill(this.sends, typed ? ["sends ", h("code", {}, JSON.stringify(dataOf(typed)))] : "");
  }

  #selectNamespace(name) {
    this.namespace = name;
    this.room = null;
    this.#showTimeline();
  }

  #arrow(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const names = this.world.outline.namespaces.map(({ name }) => name);
    const next = names[(names.indexOf(this.namespace) + step + names.length) % names.length];
    this.#selectNamespace(next);
    this.#render();
    this.tabs.querySelector('[aria-selected="true"]').focus();
  }

  // --- showing -------------------------------------------------------------------------------------------------

  #changed(session, entry) {
    if (entry && session === this.session && this.#shows(entry)) this.#append(entry);
    this.render();
    this.world.changed();
  }

  #shows(entry) {
    return entry.everywhere || entry.room === this.room;
  }

  #showTimeline() {
    this.timeline.replaceChildren();
    for (const entry of this.session.entries) if (this.#shows(entry)) this.#append(entry);
    this.timeline.scrollTop = this.timeline.scrollHeight;
    this.render();
  }

  #append(entry) {
    this.#grow(() => this.timeline.append(entryElement(entry, this.entries)));
    if (entry.kind === "sent") this.timeline.scrollTop = this.timeline.scrollHeight;
  }

  /** Make a change to the timeline; whoever was reading its end still is. */
  #grow(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.timeline;
    change();
    if (scrollHeight - scrollTop - clientHeight < NEAR_END) this.timeline.scrollTop = this.timeline.scrollHeight;
  }

  #railShows = null; // the room that the rail was last scrolled to
  #eventsOf = ""; // the place whose events are on offer

  #render() {
    if (!this.element.isConnected) return;
    this.#renderPerson();
    this.#renderTabs();
    this.#renderState();
    this.#renderRail();
    this.#renderPlace();
    this.#renderEvents();
  }

  #renderPerson() {
    const { kind, name, claims } = this.client.identity;
    this.element.setAttribute("aria-label", `Pane of ${name}`);
    fill(this.mark, kind === "nobody" ? h("span", { class: "avatar is-nobody", "aria-hidden": "true" }, "–") : avatar(name));
    const shown = claims && Object.entries(claims).filter(([claim]) => !["iss", "aud", "iat", "exp", "sub"].includes(claim));
    const line = !claims ? ["no claims"] : shown.length ? shown.map(([claim, value]) => chip(claim, value)) : ["no claims but the name"];
    fill(this.summary, h("span", { class: "chips" }, line), h("span", { class: "hidden" }, " – claims and token"));
    fill(this.claims, claims ? h("pre", { class: "json" }, JSON.stringify(claims, null, 2)) : h("p", { class: "empty" }, "Connects without a token."));
  }

  #renderTabs() {
    fill(
      this.tabs,
      this.world.outline.namespaces.map(({ name }) => {
        const { state, unread } = this.client.session(name);
        const selected = name === this.namespace;
        const waiting = !selected && unread.size > 0;
        return h(
          "button",
          {
            type: "button",
            role: "tab",
            class: "tab",
            data: { key: `tab ${name}` },
            "aria-selected": String(selected),
            "aria-controls": `${this.id}-body`,
            tabindex: selected ? "0" : "-1",
            title: STATES[state],
            "aria-label": `${name}, ${STATES[state]}`,
            onclick: () => this.#selectNamespace(name),
          },
          h("span", { class: `dot is-${state}` }),
          h("span", {}, name),
          h("span", { class: waiting ? "fresh is-there" : "fresh" }),
        );
      }),
    );
  }

  #renderState() {
    const { state } = this.session;
    const open = state === "on" || state === "connecting";
    fill(
      this.state,
      h("span", { class: `state-word is-${state}` }, STATES[state]),
      h(
        "button",
        { type: "button", class: "quiet", data: { key: "connect" }, onclick: () => (open ? this.session.disconnect() : this.session.connect()) },
        open ? "Disconnect" : state === "off" ? "Connect" : "Connect again",
      ),
    );
  }

  #renderRail() {
    const session = this.session;
    session.unread.delete(this.room);
    const joined = [...session.rooms.keys()].sort();
    const offered = this.declared ? roomsToTry(this.declared, this.client.identity.claims) : [];
    const others = [...new Set([...offered, ...session.tried])].filter((room) => !session.rooms.has(room));
    if (this.room !== null && !joined.includes(this.room) && !others.includes(this.room)) others.unshift(this.room);
    fill(
      this.rail,
      this.#railRow(null, "Everyone", null),
      h("h3", { class: "rail-title" }, "Joined"),
      joined.length === 0 && h("p", { class: "rail-none" }, "no rooms yet"),
      joined.map((room) => this.#railRow(room, room, session.rooms.get(room) === "server" ? "auto" : null)),
      others.length > 0 && h("h3", { class: "rail-title" }, "To try"),
      others.map((room) => this.#railRow(room, room, session.tried.has(room) ? "refused" : "new")),
    );
    if (this.#railShows !== this.room) {
      this.#railShows = this.room;
      this.rail.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  #railRow(room, text, badge) {
    const selected = this.room === room;
    const unread = this.session.unread.get(room) ?? 0;
    const titles = { auto: "joined by the server", refused: "refused, or taken away", new: "click to join" };
    return h(
      "button",
      {
        type: "button",
        class: `rail-row ${room === null ? "is-everyone" : ""} ${badge ? `is-${badge}` : ""}`,
        data: { key: `room ${room}` },
        "aria-current": selected ? "true" : null,
        title: badge ? `${text}: ${titles[badge]}` : text,
        onclick: () => this.#go(room),
      },
      h("span", { class: "rail-name" }, text),
      unread > 0 && h("span", { class: "count" }, String(unread)),
      badge === "auto" && h("span", { class: "badge" }, "auto"),
      badge === "refused" && h("span", { class: "badge is-refused", "aria-label": "refused" }, "✗"),
      badge === "new" && h("span", { class: "badge is-new", "aria-label": "join" }, "+"),
    );
  }

  #renderPlace() {
    const { room, session, declared } = this;
    const template = room !== null && declared ? templateOf(declared, room) : null;
    const about = room === null ? declared?.description : template ? template.description || template.template : "no template has this form";
    const where = room === null ? declared && `${baseName(this.world.outline.file)}:${declared.line}` : template && `${baseName(template.file)}:${template.line}`;
    const inside = session.rooms.has(room);
    fill(
      this.place,
      h(
        "div",
        { class: "place-text" },
        h("h2", {}, room === null ? `Everyone in ${this.namespace}` : room),
        h("p", {}, h("span", { class: "place-about" }, about), where && h("code", {}, where)),
      ),
      room !== null &&
        h(
          "button",
          { type: "button", class: "quiet", data: { key: "place" }, onclick: () => (inside ? this.session.leave(this.room) : this.session.join(this.room)) },
          inside ? "Leave" : "Join",
        ),
    );
    this.timeline.setAttribute("aria-label", `What happened in ${room ?? "the namespace"}`);
    this.timeline.dataset.empty = this.#emptyText(inside);
  }

  #emptyText(inside) {
    if (this.session.state !== "on") return "Not connected. Messages of this namespace would appear here.";
    if (this.room === null) return `Nothing yet. What you publish here goes to everyone connected to ${this.namespace}.`;
    return inside ? "Nothing yet. Say something to this room." : "You are not in this room. Publish all the same, and see what the server says.";
  }

  #renderEvents() {
    const names = this.declared ? eventsOf(this.declared, this.room).map(({ name }) => name) : [];
    const place = JSON.stringify([this.namespace, this.room]);
    const chosen = this.#eventsOf === place ? this.event.value : "";
    this.#eventsOf = place;
    fill(
      this.event,
      names.map((name) => h("option", { value: name }, name)),
      !names.includes(NOT_DECLARED) && h("option", { value: NOT_DECLARED }, `${NOT_DECLARED} (not declared)`),
    );
    this.event.value = [...names, NOT_DECLARED].includes(chosen) ? chosen : (names[0] ?? NOT_DECLARED);
  }
}

function chip(claim, value) {
  const text = Array.isArray(value) ? value.join(", ") : typeof value === "string" ? value : JSON.stringify(value);
  return h("span", { class: "chip" }, h("span", { class: "chip-name" }, claim), " ", text);
}
