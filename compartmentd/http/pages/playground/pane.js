// A pane: one person, their namespaces, their rooms, and what happens there.

import { Client } from "./client.js";
import { Composer } from "./composer.js";
import { baseName, fill, h, scheduled } from "./dom.js";
import { PersonPicker } from "./person.js";
import { Rail } from "./rail.js";
import { eventsOf, roomsToTry, speaksIn, templateOf } from "./suggestions.js";
import { Timeline } from "./timeline.js";

const AT_ONCE = 6; // namespaces that are connected to when a person arrives
const SETTLED = 400; // milliseconds in which the rooms of auto_join have come
const STATES = { off: "not connected", connecting: "connecting…", on: "connected", refused: "refused", ended: "ended" };

let panesMade = 0;

export class Pane {
  /** `world` has the admin listener, the outline in force, the explainer, and `changed()` for whoever lists panes. */
  constructor(world, identity, { onclose }) {
    this.world = world;
    this.id = `pane-${++panesMade}`;
    this.client = new Client({
      listener: world.outline.public,
      mint: (claims, entry) => world.admin.mint(claims, entry ?? entryOf(claims, world.outline)),
      explain: (entry, asked) => world.explainer.explain(entry, asked),
      changed: (session, entry) => this.#changed(session, entry),
    });
    this.namespace = world.outline.namespaces[0]?.name ?? "/";
    this.room = null;
    this.looking = true; // for a place where one can speak, until there is one or the user chooses another
    this.render = scheduled(() => this.#render());
    this.#build(onclose);
    this.person.offer(world.people, world.mintable, world.outline.unmintable);
    this.become(identity);
    if (identity.kind === "nobody" && !world.outline.namespaces.some(({ open }) => open)) this.person.askForOwn();
  }

  get session() {
    return this.client.session(this.namespace);
  }

  /** The outline of the namespace that is looked at; none where a reload took it away. */
  get declared() {
    return this.world.outline.namespaces.find(({ name }) => name === this.namespace);
  }

  become(identity) {
    this.client.become(identity);
    this.#show(identity);
    this.room = null;
    this.looking = true;
    if (this.chosen) this.chosen = "before"; // the namespace stays, unless it refuses the new person
    this.joinedFirst = new Set(); // namespaces in which a first room was tried
    for (const { name, open } of this.world.outline.namespaces.slice(0, AT_ONCE)) {
      // Nobody is asked for a token where one is needed: that pane would open with a refusal.
      if (identity.kind !== "nobody" || open) this.client.session(name).connect();
    }
    this.#look();
    this.world.changed();
  }

  #show(identity) {
    if (identity.made) this.world.keepPerson(identity);
    this.person.show(identity);
    this.element.setAttribute("aria-label", `Pane of ${identity.name}`);
  }

  /** The configuration has changed: other people, namespaces and rooms may be on offer. */
  refresh() {
    const [first] = this.world.outline.namespaces;
    if (!this.declared && first) this.#goTo(first.name);
    this.person.offer(this.world.people, this.world.mintable, this.world.outline.unmintable);
    this.render();
  }

  close() {
    this.client.close();
    this.person.close();
    this.element.remove();
  }

  #build(onclose) {
    this.person = new PersonPicker(this.id, {
      become: (identity) => this.become(identity),
      refresh: (identity) => {
        this.client.amend(identity);
        this.#show(identity);
      },
      lasting: (seconds) => {
        this.client.lasting(seconds);
        this.become(this.client.identity);
      },
    });
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Namespaces", onkeydown: (event) => this.#arrow(event) });
    this.state = h("div", { class: "state" });
    this.rail = new Rail(this.id, (room) => this.#enter(room));
    this.place = h("header", { class: "place" });
    this.timeline = new Timeline(this.world.explainer);
    this.composer = new Composer(this.id, (event, typed) => this.session.publish(this.room, event, typed));
    this.element = h(
      "section",
      { class: "pane", id: this.id },
      h(
        "header",
        { class: "pane-head" },
        this.person.elements,
        h("button", { type: "button", class: "icon", "aria-label": "Close this pane", title: "Close this pane", onclick: onclose }, "✕"),
      ),
      h("div", { class: "bar" }, this.tabs, this.state),
      h(
        "div",
        { class: "body", role: "tabpanel", id: `${this.id}-body` },
        this.rail.element,
        h("div", { class: "talk" }, this.place, this.timeline.element, this.composer.element),
      ),
    );
  }

  // --- going somewhere -----------------------------------------------------------------------------------------

  #goTo(namespace) {
    this.namespace = namespace;
    this.room = null;
    this.looking = true;
    this.chosen = "by the user";
    this.#findPlace([namespace]);
    this.#look();
  }

  /**
   * Look at the first place of these namespaces where somebody may speak: everyone, a room that the session is in, or
   * a room that its claims name, which is joined for it.
   */
  #findPlace(names) {
    const { namespaces } = this.world.outline;
    for (const declared of namespaces.filter(({ name }) => names.includes(name))) {
      const session = this.client.session(declared.name);
      if (session.state !== "on") continue;
      const joined = [...session.rooms.keys()].sort().find((room) => speaksIn(declared, room));
      if (!declared.speaks && joined === undefined) {
        this.#joinFirst(declared, session);
        continue;
      }
      this.looking = false;
      this.namespace = declared.name;
      this.room = declared.speaks ? null : joined;
      return;
    }
  }

  /** Join the first room that the claims name, once, after the rooms of `auto_join` have come. */
  #joinFirst(declared, session) {
    if (this.joinedFirst.has(declared.name)) return;
    this.joinedFirst.add(declared.name);
    setTimeout(() => {
      const room = roomsToTry(declared, this.client.identity.claims).find((name) => speaksIn(declared, name));
      if (this.looking && room && session.state === "on" && session.rooms.size === 0) session.join(room);
    }, SETTLED);
  }

  /** Look at a room; one that is neither joined nor refused yet is joined on the way. */
  #enter(room) {
    const { session } = this;
    this.room = room;
    this.looking = false;
    if (room !== null && !session.rooms.has(room) && !session.tried.has(room)) session.join(room);
    this.#look();
  }

  #look() {
    this.timeline.show(this.session.entries.filter((entry) => this.#concerns(entry)));
    this.render();
  }

  #concerns(entry) {
    return entry.everywhere || entry.room === this.room;
  }

  #arrow(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const names = this.world.outline.namespaces.map(({ name }) => name);
    this.#goTo(names[(names.indexOf(this.namespace) + step + names.length) % names.length]);
    this.#render();
    this.tabs.querySelector('[aria-selected="true"]').focus();
  }

  // --- showing -------------------------------------------------------------------------------------------------

  #changed(session, entry) {
    if (this.looking) {
      const { namespace, room } = this;
      if (this.chosen === "before" && this.session.state === "refused") this.chosen = null;
      this.#findPlace(this.chosen ? [namespace] : this.world.outline.namespaces.map(({ name }) => name));
      if (namespace !== this.namespace || room !== this.room) {
        this.#look(); // with this entry
        this.world.changed();
        return;
      }
    }
    if (entry && session === this.session && this.#concerns(entry)) this.timeline.append(entry);
    this.render();
    this.world.changed();
  }

  #render() {
    if (!this.element.isConnected) return;
    const { session, declared, room } = this;
    session.unread.delete(room);
    fill(this.tabs, this.world.outline.namespaces.map(({ name }) => this.#tab(name)));
    fill(this.state, this.#stateOf(session));
    this.rail.show(session, room, declared ? roomsToTry(declared, this.client.identity.claims) : [], declared?.speaks ?? false);
    fill(this.place, this.#placeOf(session, declared, room));
    this.timeline.describe(`What happened in ${room ?? "the namespace"}`, this.#emptyText(session, declared, room));
    const events = declared ? eventsOf(declared, room).map(({ name }) => name) : [];
    this.composer.offer(JSON.stringify([this.namespace, room]), events, declared !== undefined && speaksIn(declared, room));
  }

  #tab(name) {
    const { state, unread } = this.client.session(name);
    const selected = name === this.namespace;
    return h(
      "button",
      {
        type: "button",
        role: "tab",
        class: "tab",
        data: { key: `tab ${name}` },
        "aria-selected": String(selected),
        "aria-controls": `${this.id}-body`,
        "aria-label": `${name}, ${STATES[state]}`,
        tabindex: selected ? "0" : "-1",
        title: STATES[state],
        onclick: () => this.#goTo(name),
      },
      h("span", { class: `dot is-${state}` }),
      h("span", {}, name),
      h("span", { class: !selected && unread.size > 0 ? "fresh is-there" : "fresh" }),
    );
  }

  #stateOf({ state }) {
    const open = state === "on" || state === "connecting";
    return [
      h("span", { class: `state-word is-${state}` }, STATES[state]),
      this.client.identity.kind === "person" &&
        h(
          "button",
          {
            type: "button",
            class: "quiet",
            data: { key: "refresh" },
            title: "Give this session a newer token, without connecting again",
            disabled: state !== "on",
            onclick: () => this.#refresh(),
          },
          "Refresh",
        ),
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          data: { key: "connect" },
          onclick: () => (open ? this.session.disconnect() : this.session.connect()),
        },
        open ? "Disconnect" : state === "off" ? "Connect" : "Connect again",
      ),
    ];
  }

  #refresh() {
    this.client.minted = null;
    this.session.refresh();
  }

  #placeOf(session, declared, room) {
    const inside = session.rooms.has(room);
    const { about, where } = room === null ? aboutNamespace(declared, this.world.outline) : aboutRoom(declared, room);
    return [
      h(
        "div",
        { class: "place-text" },
        h("h2", {}, room ?? (declared?.speaks ? `Everyone in ${this.namespace}` : `The session in ${this.namespace}`)),
        h("p", {}, h("span", { class: "place-about" }, about), where && h("code", {}, where)),
      ),
      room !== null &&
        h(
          "button",
          {
            type: "button",
            class: "quiet",
            data: { key: "place" },
            onclick: () => (inside ? this.session.leave(room) : this.session.join(room)),
          },
          inside ? "Leave" : "Join",
        ),
    ];
  }

  #emptyText(session, declared, room) {
    if (session.state !== "on") return offText(declared, this.client.identity);
    if (room === null && !declared?.speaks) return `Nobody may publish to everyone in ${this.namespace}. Choose a room.`;
    if (room !== null && declared && !speaksIn(declared, room)) return "Nothing yet. Clients may not publish here.";
    if (room === null) return `Nothing yet. What you publish here goes to everyone connected to ${this.namespace}.`;
    if (session.rooms.has(room)) return "Nothing yet. Say something to this room.";
    return "You are not in this room. Publish all the same, and see what the server says.";
  }
}

function offText(declared, identity) {
  if (identity.kind === "nobody" && declared && !declared.open) return "A token is needed here. Choose a person, or paste a token.";
  return "Not connected. Messages of this namespace would appear here.";
}

function aboutNamespace(declared, outline) {
  if (!declared) return { about: "no longer declared" };
  return { about: declared.description, where: `${baseName(outline.file)}:${declared.line}` };
}

function aboutRoom(declared, room) {
  const template = declared && templateOf(declared, room);
  if (!template) return { about: "no template has this form" };
  return { about: template.description || template.template, where: `${baseName(template.file)}:${template.line}` };
}

/** The issuer entry that a person's claims name, if they do. */
function entryOf(claims, outline) {
  return outline.entries.find(({ issuer }) => issuer === claims.iss)?.name;
}
