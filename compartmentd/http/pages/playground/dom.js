// Elements without markup: text is always text, so nothing that a client sends can become part of the page.

/**
 * Make an element. Properties that begin with `on` are listeners, `class` and `data` are what they say, `true`
 * sets an attribute without a value, and `null`, `undefined` and `false` leave it out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replace the children of an element, unless they would look the same: focus and selection are kept. */
export function fill(element, ...children) {
  const next = h("div", {}, ...children);
  if (next.innerHTML === element.innerHTML) return;
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...next.childNodes);
  if (focused) element.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

/** Run `render` once before the next frame, however often it is asked for. */
export function scheduled(render) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      render();
    });
  };
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** A moment (milliseconds) as wall time, exact to the second. */
export function time(at) {
  return h("time", { datetime: new Date(at).toISOString() }, clock.format(at));
}

/** A text in which what the user wrote stands in backticks. */
export function quoted(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));
}

/** The last part of a path. */
export function baseName(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}
