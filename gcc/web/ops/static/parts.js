// The smallest parts: icons and numbers.

import { html } from "./vendor/htm-preact.module.js"
import { UNKNOWN, absolute, age, duration } from "./format.js"

const ICONS = {
  check: "M3.2 8.4l3.1 3.1 6.5-7",
  dot: "M8 4.8a3.2 3.2 0 1 0 0 6.4a3.2 3.2 0 1 0 0-6.4z",
  ring: "M8 4.6a3.4 3.4 0 1 0 0 6.8a3.4 3.4 0 1 0 0-6.8z",
  pause: "M5.8 4.2v7.6M10.2 4.2v7.6",
  play: "M5.4 3.8v8.4L12 8z",
  warn: "M8 2.8L14.2 13.2H1.8zM8 6.8v3M8 11.4v.2",
  cross: "M4.2 4.2l7.6 7.6M11.8 4.2l-7.6 7.6",
  down: "M8 3v9.2M4.2 8.6L8 12.4l3.8-3.8",
  up: "M8 13V3.8M4.2 7.4L8 3.6l3.8 3.8",
  clock: "M8 2.6a5.4 5.4 0 1 0 0 10.8a5.4 5.4 0 1 0 0-10.8zM8 5.2v3l2 1.2",
  again: "M12.7 6.1A5.2 5.2 0 1 0 13.2 8.6M13.1 2.9v3.4H9.7",
  switch: "M1.6 9.4h3M11.4 9.4h3M4.6 9.4l5.6-4.6",
  shut: "M6.2 4.2L10 8l-3.8 3.8",
  open: "M4.2 6.2L8 10l3.8-3.8",
  unknown: "M5.6 6a2.4 2.4 0 1 1 3.4 2.2c-.7.4-1 .8-1 1.6M8 12.2v.2",
}
const FILLED = new Set(["dot", "play"])

export const Icon = ({ name, tone = "muted" }) =>
  html`<svg class=${`icon ${tone} ${FILLED.has(name) ? "filled" : ""}`} viewBox="0 0 16 16" aria-hidden="true">
    <path d=${ICONS[name]} />
  </svg>`

export const Num = ({ value, unit, title }) =>
  html`<span class="num" title=${title ?? (value === UNKNOWN ? "not known yet" : undefined)}
    >${value}${unit && value !== UNKNOWN ? html` <span class="unit">${unit}</span>` : ""}</span
  >`

// A cell of a table.rows. On a phone its `word` stands before it, and it is left out where nothing is known.
export const Cell = ({ word, kind = "", title, children }) => {
  const isBlank = [children].flat().every((part) => part === null || part === undefined || part === "" || part === false || part === UNKNOWN)
  return html`<td data-word=${word} class=${`${kind} ${isBlank ? "blank" : ""}`} title=${title}>${isBlank ? html`<span class="muted">${UNKNOWN}</span>` : children}</td>`
}

// How long ago, with the moment itself on hover; nothing where there was none.
export const Ago = ({ at, now, word = "" }) => html`<time class="num" datetime=${at} title=${absolute(at)}>${age((now - Date.parse(at)) / 1000)}${word}</time>`

// In how long, with the moment itself on hover.
export const In = ({ at, now }) => html`<time datetime=${at} title=${absolute(at)}>in ${duration(Math.max(0, Math.ceil((Date.parse(at) - now) / 1000)))}</time>`

// Zeros step back, so that what moves is seen. What is not known steps back too, but is a dash.
export const zero = (value) => (value ? "" : "zero")

// What only a process with the role analytics knows of, in one without.
export const knows = (status) => status.roles.some(({ name }) => name === "analytics")
export function Elsewhere({ status, what }) {
  const others = status.processes.filter((process) => process.roles.includes("analytics") && !process.silent)
  return html`<p class="muted">
    This process has no role analytics, so it knows of no ${what}.
    ${others.length > 0 ? ` They are in ${others.map(({ host, pid }) => `${host}:${pid}`).join(", ")}: ask there.` : " No other process that lives has it."}
  </p>`
}
