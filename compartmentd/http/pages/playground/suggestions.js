// What the page offers: rooms worth trying, the events of a place, and a first reading of what was typed.

const MOST_ROOMS = 14;

/** The template that a room name has the form of; one without parameters wins. A guess: the daemon decides. */
export function templateOf(namespace, room) {
  const fitting = namespace.rooms.filter((template) => form(template).test(room));
  return fitting.find((template) => template.params.length === 0) ?? fitting[0];
}

function form(template) {
  const parts = template.pattern.map((part, index) => (index % 2 ? "(.+)" : part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")));
  return new RegExp(`^${parts.join("")}$`, "su");
}

/** Rooms to try, for someone with these claims: the fixed ones, their own, and those that the tests speak of. */
export function roomsToTry(namespace, claims) {
  const rooms = namespace.rooms.flatMap((template) => ownRooms(template, claims ?? {}));
  return [...new Set([...rooms, ...namespace.tried])].slice(0, MOST_ROOMS);
}

function ownRooms(template, claims) {
  if (template.params.length === 0) return [template.template];
  if (!template.auto_join) return [];
  let rooms = [template.pattern];
  for (const [parameter, claim] of Object.entries(template.auto_join)) {
    const values = [claims[claim]].flat().filter((value) => ["string", "number"].includes(typeof value));
    rooms = rooms.flatMap((parts) => values.map((value) => filledIn(parts, parameter, value)));
  }
  return rooms.map((parts) => parts.join(""));
}

function filledIn(parts, parameter, value) {
  return parts.map((part, index) => (index % 2 && part === parameter ? String(value) : part));
}

/** The declared events of a place: a room, or (without one) everyone in the namespace. */
export function eventsOf(namespace, room) {
  return (room === null ? namespace.events : templateOf(namespace, room)?.events) ?? [];
}

/** What to send for what was typed: JSON as it is, anything else as `{"text": …}`. */
export function dataOf(typed) {
  try {
    return JSON.parse(typed);
  } catch {
    return { text: typed };
  }
}

/** A token's claims, for showing; the daemon verifies, this only reads. */
export function claimsOf(token) {
  try {
    const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
