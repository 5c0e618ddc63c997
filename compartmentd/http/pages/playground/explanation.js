// A decision in full: what was evaluated, what it came to, and the lines of YAML that decided.

import { baseName, h, quoted } from "./dom.js";

const MARKS = { true: "✓", false: "✗", unknown: "?" };
const CODE_AND_COMMENT = /^((?:[^"'#]|"[^"]*"|'[^']*'|\S#|["'#])*?)((?:^|\s+)#.*)?$/;
const WORDS = { true: "holds", false: "does not hold", unknown: "cannot be decided" };

/**
 * Show the decision. The excerpts are filled in when they arrive, into room that is kept for them; `grow` runs
 * what makes the element taller.
 */
export function explanation(record, explainer, grow = (change) => change()) {
  const places = h("div", { class: "excerpts" }, record.lines.length > 0 && h("p", { class: "excerpt-waiting" }, "…"));
  if (record.lines.length > 0) {
    explainer.excerpts(record).then((excerpts) => grow(() => places.replaceChildren(...excerpts.map(excerpt))));
  }
  return h(
    "div",
    { class: "explanation" },
    record.detail && h("p", { class: "detail" }, quoted(record.detail)),
    places,
    record.reasons.length > 0 && h("ul", { class: "reasons" }, record.reasons.map(reason)),
  );
}

function reason({ text, truth, line, file, parts, seen }) {
  return h(
    "li",
    { class: `reason is-${truth}` },
    h("span", { class: "reason-mark", title: WORDS[truth], role: "img", "aria-label": WORDS[truth] }, MARKS[truth]),
    h("code", {}, text),
    line && h("span", { class: "reason-place" }, `${baseName(file)}:${line}`),
    seen && h("p", { class: "seen" }, quoted(seen)),
    parts.length > 0 && h("ul", { class: "reasons" }, parts.map(reason)),
  );
}

function excerpt({ file, line: first, lines: all, marked, columns }) {
  // A blank line around those that decided tells nothing.
  const from = all[0]?.trim() ? 0 : 1;
  const lines = all.slice(from, all.at(-1)?.trim() ? undefined : -1);
  const line = first + from;
  const indent = Math.min(...lines.filter((text) => text.trim()).map((text) => text.search(/\S/)));
  return h(
    "figure",
    { class: "excerpt" },
    h("figcaption", {}, `${baseName(file)}:${marked[0]}`),
    h(
      "pre",
      { tabindex: "0", "aria-label": `Lines of ${baseName(file)}` },
      lines.map((text, index) => row(text, indent, line + index, marked, columns)),
    ),
  );
}

function row(text, indent, number, marked, columns) {
  const deciding = marked.includes(number);
  const [from, to] = columns.get(number) ?? [];
  const words = [...text]; // columns count code points
  const shown =
    from === undefined
      ? plain(text.slice(indent))
      : [plain(words.slice(indent, from - 1).join("")), h("mark", {}, words.slice(from - 1, to - 1).join("")), plain(words.slice(to - 1).join(""))];
  return h(
    "span",
    { class: deciding ? "row is-deciding" : "row" },
    h("span", { class: "row-number", "aria-hidden": "true" }, String(number)),
    h("span", { class: "row-text" }, shown),
    "\n",
  );
}

/** A piece of YAML, its comment apart. */
function plain(text) {
  const [, code, comment] = CODE_AND_COMMENT.exec(text);
  return [code || (comment ? "" : " "), comment && h("span", { class: "comment" }, comment)];
}
