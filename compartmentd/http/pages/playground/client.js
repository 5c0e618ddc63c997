// One person at the public listener: a Socket.IO connection of its own, and a session in each namespace on it.
// Nothing here touches the page; whoever shows a client is told by `changed`.

import { dataOf } from "./suggestions.js";

const ANSWER_WITHIN = 8000; // milliseconds
const MOST_ENTRIES = 400; // that a session remembers
const RENEW_BEFORE = 5000; // milliseconds before its end at which a token is not used again

/** Whoever has no token. */
export const NOBODY = { kind: "nobody", name: "nobody", claims: null };

export class Client {
  /**
   * `listener` is where to connect ({url, path, transports}); `mint(claims)` gives a token; `explain(entry, asked)`
   * looks for the decision behind an entry; `changed(session?)` is called whenever there is something new.
   */
  constructor({ listener, mint, explain, changed }) {
    this.listener = listener;
    this.mint = mint;
    this.explain = explain;
    this.changed = changed;
    this.lifetime = 3600;
    this.become(NOBODY);
  }

  /** Be somebody else: everything that was open is closed. */
  become(identity) {
    this.close();
    this.identity = identity;
    this.minted = null;
    this.sessions = new Map();
    this.manager = new window.io.Manager(this.listener.url, {
      path: this.listener.path,
      transports: this.listener.transports,
      autoConnect: false,
      reconnectionDelayMax: 3000,
    });
  }

  close() {
    for (const session of this.sessions?.values() ?? []) session.drop();
  }

  session(namespace) {
    if (!this.sessions.has(namespace)) this.sessions.set(namespace, new Session(this, namespace));
    return this.sessions.get(namespace);
  }

  /** The token to connect with: the pasted one, a minted one while it lasts, or none. */
  async token() {
    const { identity, lifetime } = this;
    if (identity.kind === "nobody") return null;
    if (identity.kind === "token") return identity.token;
    if (this.minted && this.minted.until - Date.now() >= RENEW_BEFORE) return this.minted.token;
    const until = Date.now() + lifetime * 1000;
    const token = await this.mint({ ...identity.claims, exp: Math.floor(until / 1000) }, identity.entry);
    // Whoever has become somebody else meanwhile must not find the token of before.
    if (this.identity === identity && this.lifetime === lifetime) this.minted = { until, token };
    return token;
  }

  /** Have other claims, of the same person: open sessions get a newer token, without connecting again. */
  amend(identity) {
    this.identity = identity;
    this.minted = null;
    for (const session of this.sessions.values()) if (session.state === "on") session.refresh();
  }

  /** How long the next tokens last, in seconds. */
  lasting(seconds) {
    this.lifetime = seconds;
    this.minted = null;
  }
}

/**
 * A person in one namespace. `state` is off, connecting, on, refused or ended; `rooms` maps each room to how it came to
 * be joined; `tried` are rooms that refused; `unread` counts what came for
 * each room; `entries` is what happened, oldest first.
 */
export class Session {
  constructor(client, namespace) {
    this.client = client;
    this.namespace = namespace;
    this.state = "off";
    this.rooms = new Map();
    this.tried = new Set();
    this.unread = new Map();
    this.entries = [];
  }

  get sid() {
    return this.socket?.id;
  }

  connect() {
    if (this.state === "on" || this.state === "connecting") return;
    this.state = "connecting";
    this.socket ??= this.#open();
    this.socket.connect();
    this.client.changed(this);
  }

  disconnect() {
    this.socket?.disconnect();
    if (this.state === "connecting") this.#ended("off");
  }

  drop() {
    this.socket?.removeAllListeners();
    this.socket?.offAny();
    this.socket?.disconnect();
    this.socket = undefined;
  }

  async join(room) {
    const answer = await this.#ask("join", room);
    if (answer.ok) {
      if (!this.rooms.has(room)) this.rooms.set(room, "asked");
      this.tried.delete(room);
      this.#note({ kind: "notice", room, text: "joined" });
    } else {
      // Asking again for a room that one is in is decided like a new join: a refusal ends the membership.
      this.rooms.delete(room);
      this.tried.add(room);
      this.#refused({ request: "join", room }, answer.error);
    }
  }

  async leave(room) {
    const answer = await this.#ask("leave", room);
    if (!answer.ok) return this.#refused({ request: "leave", room }, answer.error);
    this.rooms.delete(room);
    this.#note({ kind: "notice", room, text: "left" });
  }

  /** Give the session a newer token in place. */
  async refresh() {
    let token;
    try {
      token = await this.client.token();
    } catch (error) {
      return this.#refused({ request: "refresh", room: null }, { code: "not_minted", message: error.message });
    }
    const answer = await this.#ask("refresh", token);
    if (!answer.ok) return this.#refused({ request: "refresh", room: null }, answer.error);
    const seconds = Math.round((answer.expires - Date.now()) / 1000);
    const more = seconds > 120 ? `${Math.round(seconds / 60)} min` : `${seconds} s`;
    this.#note({ kind: "notice", room: null, everywhere: true, text: `token refreshed: the session lasts ${more} more` });
  }

  async publish(room, event, typed) {
    const data = dataOf(typed);
    const entry = this.#note({ kind: "sent", room, event, data, state: "sending" });
    const answer = await this.#ask("publish", room, event, data);
    entry.state = answer.ok ? "sent" : "refused";
    entry.show?.();
    if (!answer.ok) this.#refused({ request: "publish", room, event }, answer.error);
  }

  async #ask(...request) {
    if (this.state !== "on") return { ok: false, error: { code: "not_connected", message: "connect first" } };
    try {
      return await this.socket.timeout(ANSWER_WITHIN).emitWithAck(...request);
    } catch {
      return { ok: false, error: { code: "no_answer", message: "the connection broke before an answer came" } };
    }
  }

  #open() {
    const socket = this.client.manager.socket(this.namespace, {
      auth: (give) => {
        this.client.token().then(
          (token) => give(token === null ? {} : { token }),
          (error) => {
            this.#refused({ request: "connect", room: null }, { code: "not_minted", message: error.message });
            this.#ended("refused");
          },
        );
      },
    });
    // A namespace that is used again after DISCONNECT keeps its socket, and with it these listeners.
    socket.removeAllListeners();
    socket.offAny();
    socket.on("connect", () => this.#connected());
    socket.on("connect_error", (error) => this.#failed(error));
    socket.on("disconnect", (reason) => this.#disconnected(reason));
    socket.on("joined", ({ room }) => this.#moved(room));
    socket.on("left", ({ room, code }) => this.#left(room, code));
    socket.on("expiring", (notice) => this.#note({ kind: "expiring", room: null, everywhere: true, in: notice.in }));
    socket.on("closing", (notice) => this.#closing(notice));
    socket.onAny((event, ...given) => this.#event(event, given));
    return socket;
  }

  #connected() {
    this.state = "on";
    this.rooms.clear();
    this.tried.clear();
    this.#note({ kind: "notice", room: null, text: `connected as ${this.client.identity.name}` });
  }

  /** A refusal carries a code; without one there was no connection, and the client tries again by itself. */
  #failed(error) {
    const refused = error.data?.code ?? (this.client.manager._readyState === "open" ? "invalid_namespace" : null);
    if (refused === null) return this.client.changed(this);
    this.#refused({ request: "connect", room: null }, { message: error.message, ...error.data, code: refused });
    this.#ended("refused");
  }

  #disconnected(reason) {
    const coming = this.socket?.active;
    this.#ended(coming ? "connecting" : ["refused", "ended"].includes(this.state) ? this.state : "off");
    const text = coming ? "connection lost, trying again" : reason === "io client disconnect" ? "disconnected" : null;
    if (text) this.#note({ kind: "notice", room: null, everywhere: true, text });
  }

  #ended(state) {
    this.state = state;
    this.rooms.clear();
    this.client.changed(this);
  }

  #moved(room) {
    this.rooms.set(room, "server");
    this.tried.delete(room);
    this.#note({ kind: "notice", room, text: "joined by the server" });
  }

  #left(room, code) {
    this.rooms.delete(room);
    this.tried.add(room);
    const entry = this.#note({ kind: "ended", what: "left", room, code, everywhere: true });
    this.client.explain(entry, { namespace: this.namespace, session: this.sid, room, requests: ["judge", "join"] });
  }

  #closing({ code, retry }) {
    const entry = this.#note({ kind: "ended", what: "closing", room: null, code, retry, everywhere: true });
    this.client.explain(entry, { namespace: this.namespace, session: this.sid, room: null, requests: ["judge"] });
    this.state = "ended";
  }

  #event(event, [data, meta]) {
    if (["joined", "left", "expiring", "closing"].includes(event)) return;
    this.#note({ kind: "received", room: meta?.room ?? null, event, data, from: meta?.from?.user ?? null });
  }

  #refused({ request, room, event }, error) {
    const entry = this.#note({ kind: "refused", request, room, event, ...error });
    this.client.explain(entry, {
      namespace: this.namespace,
      session: this.sid,
      subject: this.client.identity.claims?.sub,
      room,
      event,
      code: error.code,
      requests: [request],
    });
  }

  #note(entry) {
    const noted = { at: Date.now(), ...entry };
    this.entries.push(noted);
    if (this.entries.length > MOST_ENTRIES) this.entries.shift();
    if (["received", "refused", "ended"].includes(noted.kind)) this.unread.set(noted.room, (this.unread.get(noted.room) ?? 0) + 1);
    this.client.changed(this, noted);
    return noted;
  }
}
