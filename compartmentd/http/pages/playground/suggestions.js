// What the page offers: rooms worth trying, the events of a place, and a first reading of what was typed.

const MOST_ROOMS = 14;
const MOST_VALUES = 3; // of a parameter, of a person

/** The template that a room name has the form of; one without parameters wins. A guess: the daemon decides. */
export function templateOf(namespace, room) {
  const fitting = namespace.rooms.filter((template) => form(template).test(room));
  return fitting.find((template) => template.params.length === 0) ?? fitting[0];
}

function form(template) {
  const parts = template.pattern.map((part, index) => (index % 2 ? "(.+)" : part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")));
  return new RegExp(`^${parts.join("")}$`, "su");
}

/** Rooms to try, for someone with these claims: the fixed ones, their own, those of the tests, and examples. */
export function roomsToTry(namespace, claims) {
  const own = namespace.rooms.flatMap((template) => ownRooms(template, claims ?? {}));
  const examples = namespace.tried.length > 0 ? [] : namespace.rooms.flatMap((template) => template.examples);
  return [...new Set([...own, ...namespace.tried, ...examples])].slice(0, MOST_ROOMS);
}

/** The rooms of a template whose parameters are known from the claims: by `auto_join`, or by what `join` compares. */
function ownRooms(template, claims) {
  if (template.params.length === 0) return [template.template];
  let rooms = [template.pattern];
  for (const { name } of template.params) {
    const values = (template.sources[name] ?? []).flatMap((path) => valuesAt(claims, path)).slice(0, MOST_VALUES);
    rooms = rooms.flatMap((parts) => values.map((value) => filledIn(parts, name, value)));
  }
  // A room for two names is not one for the same name twice.
  const names = new Set(template.params.map(({ name }) => name));
  const isRoomOfOne = (parts) => names.size > 1 && new Set(parts.filter((_, index) => index % 2)).size === 1;
  return rooms.filter((parts) => !isRoomOfOne(parts)).map((parts) => parts.join(""));
}

function valuesAt(claims, path) {
  const value = path.reduce((place, name) => place?.[name], claims);
  return [value].flat().filter((one) => ["string", "number"].includes(typeof one));
}

function filledIn(parts, parameter, value) {
  return parts.map((part, index) => (index % 2 && part === parameter ? String(value) : part));
}

/** Whether somebody may publish in a place: in a room, or (without one) to everyone in the namespace. */
export function speaksIn(namespace, room) {
  return (room === null ? namespace.speaks : templateOf(namespace, room)?.speaks) ?? false;
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
