// Small helpers to build and change elements. Nothing here takes markup: what the network said is only ever text.

export const byId = id => document.getElementById(id);

/** Makes an element: el('td', { class: 'mono' }, 'text', otherElement). */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false)
      element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.filter(child => child !== undefined && child !== null));
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text)
    element.textContent = text;
}

export function setLevel(element, level) {
  if (level)
    element.dataset.level = level;
  else
    delete element.dataset.level;
}

/** Puts keyed children in order, and makes, updates or removes them as needed. */
export function reconcile(parent, items, key, make, update) {
  const known = new Map([...parent.children].map(child => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = known.get(name);
    known.delete(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    if (child === place)
      place = place.nextElementSibling;
    else
      parent.insertBefore(child, place);
    update(child, item);
  }
  for (const gone of known.values())
    gone.remove();
}

const two = n => String(n).padStart(2, '0');

/** A span of milliseconds for people: 3 d 4 h, 2 h 05 min, 9 min 12 s, 42 s. */
export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const days = Math.floor(s / 86400);
  const hours = Math.floor(s / 3600) % 24;
  const minutes = Math.floor(s / 60) % 60;
  return days ? `${days} d ${hours} h` : hours ? `${hours} h ${two(minutes)} min` : minutes ? `${minutes} min ${two(s % 60)} s` : `${s} s`;
}

export function clock(text) {
  const at = new Date(text);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function dateAndTime(text) {
  const at = new Date(text);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(text)}`;
}
