// The admin listener: one bearer token, a few questions, and the live feed of decisions.

const KEPT_AS = "compartmentd-admin-token";

/** An answer that is no success; `status` is HTTP's, 0 where there was no answer at all. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * Take the admin token from the address (`#token=…`), and remove it from there: an address is copied, shown and
 * remembered in too many places. It is kept for this tab alone.
 */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEPT_AS, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEPT_AS);
}

export class Admin {
  constructor(token) {
    this.use(token);
  }

  /** Use this token from now on, and in this tab after a reload of the page. */
  use(token) {
    this.token = token;
    sessionStorage.setItem(KEPT_AS, token);
  }

  status() {
    return this.#ask("GET", "/admin/status");
  }

  outline() {
    return this.#ask("GET", "/admin/dev/playground");
  }

  /** Mint a development token with these claims. */
  async mint(claims, entry) {
    return (await this.#ask("POST", "/admin/dev/token", entry ? { claims, entry } : { claims })).token;
  }

  /** Lines of a configuration file. */
  excerpt(file, line, endLine) {
    const query = new URLSearchParams({ file, line, end_line: endLine });
    return this.#ask("GET", `/admin/dev/excerpt?${query}`);
  }

  /** Follow the decisions: `onRecord` for each of them, `onDropped` with a count where some were lost. */
  async follow(onRecord, onDropped) {
    const response = await this.#fetch("GET", "/admin/decisions");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) deliver(block, onRecord, onDropped);
    }
  }

  async #ask(method, target, body) {
    return (await this.#fetch(method, target, body)).json();
  }

  async #fetch(method, target, body) {
    const headers = { Authorization: `Bearer ${this.token}` };
    if (body) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(target, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
    } catch {
      throw new Refused(0, "the daemon does not answer");
    }
    if (response.ok) return response;
    const said = await response.json().catch(() => null);
    throw new Refused(response.status, said?.error?.message ?? `the daemon answered ${response.status}`);
  }
}

/** Read one server-sent event; each of ours has one line of data. */
function deliver(block, onRecord, onDropped) {
  let kind = "message";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) kind = line.slice(7);
    if (!line.startsWith("data: ")) continue;
    const data = JSON.parse(line.slice(6));
    if (kind === "dropped") onDropped(data.count);
    else onRecord(data);
  }
}
