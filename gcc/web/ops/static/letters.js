// Dead letters that wait, by queue and reason, the newest first. One calm line when there are none.

import { html } from "./vendor/htm-preact.module.js"
import { absolute, age, count } from "./format.js"
import { Icon, Num } from "./parts.js"

const GROUPS_SHOWN = 4

export const letters = (n) => (n === 1 ? "letter" : "letters")
export const events = (n) => (n === 1 ? "event" : "events")

export function Letters({ status, ask }) {
  const waiting = status.dead_letters
  const groups = waiting?.groups ?? []
  return html`<section class="panel letters" aria-labelledby="h-letters">
    <div class="head">
      <h2 id="h-letters">Dead letters</h2>
      <${Sum} waiting=${waiting} />
      ${waiting?.letters > 0 &&
      html`<button class="small" onClick=${() => ask({ kind: "letters", queue: "", reason: "" })}>Look or replay…</button>`}
    </div>
    ${groups.length > 0 &&
    html`<ul>
      ${groups.slice(0, GROUPS_SHOWN).map((group, place) => html`<${Group} key=${place} ...${group} now=${Date.parse(status.at)} ask=${ask} />`)}
    </ul>`}
  </section>`
}

function Sum({ waiting }) {
  if (!waiting) return html`<span class="muted sum">Not counted yet.</span>`
  if (waiting.letters === 0) return html`<span class="muted sum"><${Icon} name="check" tone="ok" />None waits.</span>`
  const more = waiting.more ? " or more" : ""
  return html`<span class="sum">
    <${Icon} name="warn" tone="warn" /><b class="num">${count(waiting.letters)}</b>${more} ${letters(waiting.letters)}
    <span class="muted"> with ${count(waiting.events)} ${events(waiting.events)}</span>
  </span>`
}

// What a filter can find of a reason: it was masked, the letters are not.
const unmasked = (reason) => reason.split("•••")[0].trim()

const Group = ({ queue, reason, letters: n, events: m, newest, now, ask }) =>
  html`<li>
    <button class="plain line" title=${`${queue}\n${reason}\n${count(m)} ${events(m)}; the newest of ${absolute(newest)}. Look or replay…`}
      onClick=${() => ask({ kind: "letters", queue, reason: unmasked(reason) })}>
      <span class="who dotted">${queue}</span>
      <span class="what">${reason}</span>
      <${Num} value=${count(n)} unit=${letters(n)} />
      <time class="muted num" datetime=${newest}>${age((now - Date.parse(newest)) / 1000)}</time>
    </button>
  </li>`
