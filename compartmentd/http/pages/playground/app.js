// The playground: panes of people, what is in force, and every decision.

import { Admin, Refused, takeToken } from "./admin.js";
import { NOBODY } from "./client.js";
import { Decisions } from "./decisions.js";
import { fill, h, scheduled } from "./dom.js";
import { avatar } from "./entries.js";
import { Explainer } from "./explainer.js";
import { showForce, showUnreachable } from "./force.js";
import { Pane } from "./pane.js";
import { MadePeople } from "./people.js";

const LOOK_AGAIN = 1000; // milliseconds between two looks at what is in force
const FIRST_PANES = 2;
const MOST_PANES = 4;

const byId = (id) => document.getElementById(id);
const places = { head: byId("force"), problems: byId("problems") };
const pause = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));

class App {
  constructor(admin) {
    this.admin = admin;
    this.explainer = new Explainer(admin);
    this.decisions = new Decisions(
      { list: byId("decisions-list"), empty: byId("decisions-empty"), latest: byId("latest") },
      this.explainer,
    );
    this.made = new MadePeople();
    this.panes = [];
    this.shown = 0;
    this.generation = null;
    this.listening = null;
    this.changed = scheduled(() => this.#renderSwitcher());
    byId("add").addEventListener("click", () => this.add());
  }

  /** Go on for as long as the page is open; comes back only when the admin token is refused. */
  async run() {
    for (;;) {
      await this.#look();
      if (this.outline) break;
      await pause(LOOK_AGAIN);
    }
    this.listening ??= this.#listen().finally(() => (this.listening = null));
    const first = this.people.length > 1 || this.outline.namespaces.some(({ open }) => open) ? FIRST_PANES : 1;
    while (this.panes.length < first) this.add();
    this.#show(0);
    for (;;) {
      await Promise.race([pause(LOOK_AGAIN), this.listening]);
      await this.#look();
    }
  }

  /** Everybody who can be chosen: the ready-made people, and those that the user made. */
  get people() {
    return [...this.outline.people, ...this.made.people];
  }

  /** The issuer entries for which tokens can be made here. */
  get mintable() {
    return this.outline.entries.filter(({ mintable }) => mintable);
  }

  keepPerson(identity) {
    this.made.keep(identity);
    for (const pane of this.panes) pane.person.offer(this.people, this.mintable, this.outline.unmintable);
  }

  add() {
    if (this.panes.length >= MOST_PANES) return;
    const pane = new Pane(this, this.#nextPerson(), { onclose: () => this.remove(pane) });
    this.panes.push(pane);
    byId("panes").append(pane.element);
    pane.render();
    this.#show(this.panes.length - 1);
  }

  remove(pane) {
    pane.close();
    this.panes.splice(this.panes.indexOf(pane), 1);
    this.#show(Math.min(this.shown, this.panes.length - 1));
    byId("add").focus();
  }

  /** The first of the ready-made people who has no pane yet. */
  #nextPerson() {
    const taken = this.panes.map(({ client }) => client.identity.name);
    const free = this.people.find(({ name }) => !taken.includes(name));
    return free ? { kind: "person", ...free } : NOBODY;
  }

  /** See what is in force; where that has changed, what the page offers changes, too. */
  async #look() {
    let status;
    try {
      status = await this.admin.status();
      if (status.generation !== this.generation) {
        this.outline = await this.admin.outline();
        this.generation = status.generation;
        for (const pane of this.panes) pane.refresh();
      }
    } catch (error) {
      if (isTokenRefused(error)) throw error;
      this.generation = null; // whatever answers next may be another process
      showUnreachable(places);
      return;
    }
    showForce(this.outline, status, places);
  }

  /** Follow the decisions, and begin again when the daemon does. */
  async #listen() {
    for (;;) {
      try {
        await this.admin.follow(
          (record) => {
            this.decisions.add(record);
            this.explainer.add(record);
          },
          (count) => this.decisions.lost(count),
        );
      } catch (error) {
        if (isTokenRefused(error)) throw error;
      }
      await pause(LOOK_AGAIN);
    }
  }

  // --- panes: side by side where there is room, else one at a time ---------------------------------------------

  #show(index) {
    this.shown = index;
    byId("panes").dataset.count = String(this.panes.length);
    byId("add").disabled = this.panes.length >= MOST_PANES;
    this.panes.forEach((pane, at) => pane.element.classList.toggle("is-shown", at === index));
    this.#renderSwitcher();
  }

  #renderSwitcher() {
    fill(
      byId("switcher"),
      this.panes.map((pane, index) =>
        h(
          "button",
          {
            type: "button",
            data: { key: `pane ${index}` },
            "aria-current": index === this.shown ? "true" : null,
            onclick: () => this.#show(index),
          },
          pane.client.identity.kind === "nobody" ? null : avatar(pane.client.identity.name),
          h("span", {}, pane.client.identity.name),
        ),
      ),
    );
  }
}

function isTokenRefused(error) {
  return error instanceof Refused && [401, 403].includes(error.status);
}

/** Ask for an admin token until one is given. */
function askForToken(why) {
  const dialog = byId("unlock");
  byId("unlock-why").textContent = why;
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  return new Promise((given) => {
    byId("unlock-form").addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        dialog.close();
        given(byId("unlock-token").value.trim());
      },
      { once: true },
    );
  });
}

async function main() {
  const token = takeToken();
  const admin = new Admin(token ?? (await askForToken("The address of this page carries none.")));
  const app = new App(admin);
  for (;;) {
    try {
      await app.run();
    } catch (error) {
      if (!isTokenRefused(error)) throw error;
      admin.use(await askForToken(`${error.message[0].toUpperCase()}${error.message.slice(1)}.`));
    }
  }
}

main();
