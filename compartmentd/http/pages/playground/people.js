// The people that the user made, kept for this tab: with their claims, and never a token.

const KEPT_AS = "compartmentd-people";
const MOST = 20;

export class MadePeople {
  constructor() {
    this.people = read();
  }

  /** Keep a person; one of the same name is replaced. */
  keep({ name, claims, entry }) {
    const others = this.people.filter((person) => person.name !== name);
    this.people = [...others, { name, claims, entry, made: true }].slice(-MOST);
    sessionStorage.setItem(KEPT_AS, JSON.stringify(this.people));
  }
}

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT_AS)) ?? [];
  } catch {
    return [];
  }
}
