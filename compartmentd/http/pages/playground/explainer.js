// Finds the decision behind a refusal, and the lines of the configuration behind a decision.

const REMEMBERED = 400; // decisions
const PATIENCE = 8000; // milliseconds in which a decision and what the client saw of it belong together
const AROUND = 1; // lines shown before and after those that decided
const MOST_EXCERPTS = 3;

export class Explainer {
  #records = [];
  #waiting = [];
  #excerpts = new Map();

  constructor(admin) {
    this.admin = admin;
  }

  /** Take a decision from the feed. */
  add(record) {
    const kept = { ...record, seen: performance.now(), taken: false };
    this.#records.push(kept);
    if (this.#records.length > REMEMBERED) this.#records.shift();
    const index = this.#waiting.findIndex(({ asked }) => fits(kept, asked));
    if (index >= 0) this.#give(this.#waiting.splice(index, 1)[0].entry, kept);
    this.#waiting = this.#waiting.filter(({ since }) => performance.now() - since < PATIENCE);
  }

  /** Look for the decision behind an entry; it gets `explanation`, now or when the feed brings it. */
  explain(entry, asked) {
    const now = performance.now();
    const found = this.#records.findLast((record) => now - record.seen < PATIENCE && fits(record, asked));
    if (found) this.#give(entry, found);
    else this.#waiting.push({ entry, asked, since: now });
  }

  /** The excerpts for the lines of a decision: [{file, line, lines, marked}], `marked` being line numbers. */
  excerpts(record) {
    return Promise.all(regions(deciding(record)).map((region) => this.#excerpt(region, record.digest)));
  }

  #give(entry, record) {
    record.taken = true;
    entry.explanation = record;
    entry.show?.();
  }

  /** Ask once for each place of each version of the files. */
  #excerpt(region, digest) {
    const key = JSON.stringify([digest, region.file, region.first, region.last, [...region.columns]]);
    if (!this.#excerpts.has(key)) {
      const asked = this.admin
        .excerpt(region.file, Math.max(1, region.first - AROUND), region.last + AROUND)
        .then((excerpt) => ({ ...region, ...excerpt }))
        .catch(() => ({ ...region, line: region.first, lines: [] }));
      this.#excerpts.set(key, asked);
    }
    return this.#excerpts.get(key);
  }
}

function fits(record, asked) {
  if (record.taken || record.allowed || record.namespace !== asked.namespace) return false;
  if (!asked.requests.includes(record.request) || record.room !== (asked.room ?? null)) return false;
  if (asked.code && record.code !== asked.code) return false;
  if (asked.event && record.event !== asked.event) return false;
  if (asked.session) return record.session === null || record.session === asked.session;
  return !asked.subject || record.subject === null || record.subject.endsWith(`:${asked.subject}`);
}

/** The places that decided; for a refusal those of what does not hold, if they are known. */
function deciding(record) {
  const blamed = record.allowed ? [] : record.reasons.flatMap(toBlame);
  return blamed.length > 0 ? blamed : record.lines;
}

function toBlame(reason) {
  if (reason.truth === "true") return [];
  const inner = reason.parts.flatMap(toBlame);
  return inner.length > 0 || !reason.line ? inner : [reason];
}

/**
 * Join places that touch or overlap, so that one excerpt shows them all. `columns` has the part of a line that decided,
 * where that is a part of one line.
 */
function regions(places) {
  const found = [];
  for (const { file, line, column, end_line: end, end_column: endColumn } of [...places].sort((a, b) => a.line - b.line)) {
    const last = Math.max(line, end);
    const marked = Array.from({ length: last - line + 1 }, (_, index) => line + index);
    const before = found.find((region) => region.file === file && line <= region.last + 2 * AROUND + 1);
    if (before) {
      before.last = Math.max(before.last, last);
      before.marked.push(...marked);
    } else if (found.length < MOST_EXCERPTS) {
      found.push({ file, first: line, last, marked, columns: new Map() });
    }
    const region = before ?? found.at(-1);
    if (line === end && region?.file === file) region.columns.set(line, [column, endColumn]);
  }
  return found;
}
