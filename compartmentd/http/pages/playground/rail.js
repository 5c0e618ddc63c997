// The rooms of a session: those that it is in, and those that are worth trying.

import { fill, h } from "./dom.js";

const BADGES = {
  auto: { shown: "auto", meaning: "joined by the server" },
  refused: { shown: "✗", meaning: "refused, or taken away" },
  new: { shown: "+", meaning: "click to join" },
};

export class Rail {
  #scrolledTo = null;

  /** `go(room)` is called when a room is chosen; `null` is the namespace as a whole. */
  constructor(id, go) {
    this.go = go;
    this.rooms = h("div", { class: "rail-rooms" });
    this.input = h("input", {
      id: `${id}-join`,
      placeholder: "room",
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      maxlength: "256",
    });
    this.element = h(
      "nav",
      { class: "rail", "aria-label": "Rooms" },
      this.rooms,
      h(
        "form",
        { class: "join", onsubmit: (event) => this.#typed(event) },
        h("label", { class: "hidden", for: `${id}-join` }, "Join a room"),
        this.input,
        h("button", { type: "submit" }, "Join"),
      ),
    );
  }

  /**
   * Show the rooms of the session, of which `selected` is looked at; `offered` are suggestions. `speaks` says that
   * somebody may publish to everyone in the namespace.
   */
  show(session, selected, offered, speaks) {
    const joined = [...session.rooms.keys()].sort();
    const others = [...new Set([...offered, ...session.tried])].filter((room) => !session.rooms.has(room));
    if (selected !== null && !session.rooms.has(selected) && !others.includes(selected)) others.unshift(selected);
    const row = (room, kind) => this.#row(room, kind, room === selected, session.unread.get(room) ?? 0);
    fill(
      this.rooms,
      this.#row(null, null, selected === null, session.unread.get(null) ?? 0, speaks ? "Everyone" : "This session"),
      h("h3", { class: "rail-title" }, "Joined"),
      joined.length === 0 && h("p", { class: "rail-none" }, "no rooms yet"),
      joined.map((room) => row(room, session.rooms.get(room) === "server" ? "auto" : null)),
      others.length > 0 && h("h3", { class: "rail-title" }, "To try"),
      others.map((room) => row(room, session.tried.has(room) ? "refused" : "new")),
    );
    if (this.#scrolledTo === selected) return;
    this.#scrolledTo = selected;
    this.rooms.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  #row(room, kind, selected, unread, name = room) {
    const badge = kind && BADGES[kind];
    return h(
      "button",
      {
        type: "button",
        class: `rail-row ${room === null ? "is-everyone" : ""} ${kind ? `is-${kind}` : ""}`,
        data: { key: `room ${room}` },
        "aria-current": selected ? "true" : null,
        title: badge ? `${room}: ${badge.meaning}` : name,
        onclick: () => this.go(room),
      },
      h("span", { class: "rail-name" }, name),
      unread > 0 && h("span", { class: "count" }, String(unread)),
      badge && h("span", { class: `badge is-${kind}` }, badge.shown),
    );
  }

  #typed(event) {
    event.preventDefault();
    const room = this.input.value;
    this.input.value = "";
    if (room) this.go(room);
  }
}
