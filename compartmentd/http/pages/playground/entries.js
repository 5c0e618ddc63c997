// What happened in a room, entry by entry: messages, notices, refusals, endings.

import { h, time } from "./dom.js";
import { explanation } from "./explanation.js";

const SHORT = 60; // characters of JSON that stay on one line

/** Show an entry; `entry.show()` brings it up to date when an answer or an explanation has come. */
export function entryElement(entry, context) {
  const element = h("li", { class: `entry is-${entry.kind}` });
  entry.show = () => context.grow(() => element.replaceChildren(...KINDS[entry.kind](entry, context)));
  entry.show();
  return element;
}

const KINDS = { received, sent, notice, expiring, refused, ended };

function received(entry) {
  const name = entry.from ?? "somebody";
  return [
    avatar(name),
    h("div", { class: "message" }, h("p", { class: "message-head" }, h("b", {}, name), eventTag(entry), time(entry.at)), body(entry.data)),
  ];
}

function sent(entry) {
  const state = { sending: "sending…", sent: "sent", refused: "refused" }[entry.state];
  return [
    h(
      "div",
      { class: `message is-mine was-${entry.state}` },
      h("p", { class: "message-head" }, eventTag(entry), h("span", {}, state), time(entry.at)),
      body(entry.data),
    ),
  ];
}

function notice(entry) {
  return [h("p", { class: "line" }, h("span", {}, entry.text), time(entry.at))];
}

function expiring(entry) {
  const seconds = Math.round(entry.in / 1000);
  return [
    h(
      "p",
      { class: "line is-warning" },
      h("span", {}, h("code", {}, "expiring"), ` the session ends in ${seconds} s`),
      time(entry.at),
    ),
  ];
}

function refused(entry, context) {
  return [
    h(
      "article",
      { class: "card is-bad" },
      h("header", {}, h("code", { class: "code" }, entry.code), h("span", { class: "card-what" }, asked(entry)), time(entry.at)),
      h("p", {}, entry.message, entry.retry && " · trying again can help"),
      entry.explanation && explanation(entry.explanation, context.explainer, context.grow),
    ),
  ];
}

function ended(entry, context) {
  const text = entry.what === "left" ? ["The server took you out of ", h("code", {}, entry.room)] : ["The server ended this session"];
  return [
    h(
      "article",
      { class: "card is-ended" },
      h("header", {}, h("code", { class: "code" }, entry.code), h("span", { class: "card-what" }, entry.what), time(entry.at)),
      h("p", {}, text, entry.retry && " · connecting again can help"),
      entry.explanation && explanation(entry.explanation, context.explainer, context.grow),
    ),
  ];
}

function asked({ request, room, event }) {
  if (request === "publish") return `publish ${event}`;
  return room === null ? request : `${request} ${room}`;
}

function eventTag({ event }) {
  return event === "message" ? null : h("code", { class: "tag" }, event);
}

/** What a person wrote reads as text, everything else as the JSON that it is. */
function body(data) {
  if (data instanceof ArrayBuffer) return h("p", { class: "json" }, `${data.byteLength} bytes`);
  if (data && typeof data === "object" && Object.keys(data).length === 1 && typeof data.text === "string") {
    return h("p", { class: "text" }, data.text);
  }
  const short = JSON.stringify(data) ?? "null";
  return h("pre", { class: "json" }, short.length <= SHORT ? short : JSON.stringify(data, null, 1));
}

/** A person's mark: an initial, in a colour that stays theirs. */
export function avatar(name) {
  return h("span", { class: "avatar", "aria-hidden": "true", data: { hue: hueOf(name) } }, [...name][0].toUpperCase());
}

function hueOf(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 997;
  return String(sum % 6);
}
