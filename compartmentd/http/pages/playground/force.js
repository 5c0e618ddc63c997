// What is in force: the file, its generation, and what is wrong with the version that is not.

import { baseName, fill, h, quoted, time } from "./dom.js";

const NEW_FOR = 2000; // milliseconds of the animation of a new generation
let shown = { generation: null, since: -Infinity };

/** Show the state of the configuration in the page's head, and the problems of a refused version below it. */
export function showForce(outline, status, { head, problems }) {
  const last = status.last_reload;
  const refused = last !== null && !last.ok;
  const first = shown.generation === null;
  if (status.generation !== shown.generation) shown = { generation: status.generation, since: first ? -Infinity : performance.now() };
  const isNew = performance.now() - shown.since < 2 * NEW_FOR;
  fill(
    head,
    h("code", { class: "force-file", title: outline.file }, baseName(outline.file)),
    h("span", { class: "force-hint" }, "edit and save it, and the panes follow"),
    h(
      "span",
      { class: refused ? "force-state is-refused" : "force-state is-held" },
      h("span", { class: "force-mark", "aria-hidden": "true" }),
      h("span", {}, refused ? "the last change is not in force" : "in force"),
    ),
    h("span", { class: "force-generation" }, "generation ", h("b", { class: isNew ? "is-new" : null }, String(status.generation))),
    h("code", { class: "force-digest", title: status.digest }, status.digest.slice(0, 8)),
    h("span", { class: "force-since" }, refused ? "refused at " : "since ", time(last ? last.at : status.started)),
  );
  problems.hidden = !refused;
  fill(
    problems,
    refused && [
      h("h2", {}, `Generation ${status.generation} stays in force until this is mended:`),
      h("ul", {}, last.problems.map(problem)),
    ],
  );
}

/** Say that nobody knows. */
export function showUnreachable({ head, problems }) {
  problems.hidden = true;
  const mark = h("span", { class: "force-mark", "aria-hidden": "true" });
  fill(head, h("span", { class: "force-state is-refused" }, mark, "the daemon does not answer; trying again"));
}

function problem({ file, line, column, severity, message, help }) {
  return h(
    "li",
    {},
    h("code", {}, `${baseName(file)}:${line}:${column}`),
    h("span", {}, h("b", {}, severity), " ", quoted(message)),
    help && h("p", {}, quoted(help)),
  );
}
