// Dead letters as they are looked for: by queue, reason and time, listed newest first.

import { html, useLayoutEffect, useMemo, useRef } from "./vendor/htm-preact.module.js"
import { absolute, age, count, isKnown } from "./format.js"
import { COUNT_AFTER_MS, Choice, SINCE, sinceTime } from "./form.js"
import { events } from "./letters.js"
import { useLook } from "./look.js"
import { Num } from "./parts.js"

const LISTED = 50
const EVERY_S = 5

export function filterOf({ queue, reason, since }) {
  const filter = { queue, reason: reason.trim(), since: sinceTime(since) }
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value))
}

// {filter, list, total, events, groups} or {refused}; {} while looking.
export function useLetters({ queue, reason, since }) {
  const filter = useMemo(() => filterOf({ queue, reason, since }), [queue, reason, since])
  const { data: list, meta, refused } = useLook("/api/dead-letters", { ...filter, limit: LISTED }, { everyS: EVERY_S, delayMs: COUNT_AFTER_MS })
  if (refused) return { refused }
  return list ? { filter, list, ...meta } : {}
}

export function Filters({ status, queue, reason, since, given, setQueue, setReason, setSince }) {
  const waiting = (status.dead_letters?.groups ?? []).map((group) => group.queue)
  const queues = [...new Set([given, queue, ...waiting])].filter(Boolean).sort()
  return html`<${Choice} id="l-queue" label="Queue" value=${queue} set=${setQueue} options=${[["", "all queues"], ...queues.map((name) => [name, name])]} />
    <div class="field">
      <label for="l-reason">A part of the reason</label>
      <input id="l-reason" value=${reason} placeholder="any" autocomplete="off" maxlength="300" onInput=${(event) => setReason(event.target.value)} />
    </div>
    <${Choice} id="l-since" label="Buried" value=${since} set=${setSince} options=${SINCE.map(([key, word]) => [key, key ? `in the last ${word}` : word])} />`
}

export const Lines = ({ list, total, show, seen }) =>
  html`<ol class="list" id="letters" aria-label="Letters, newest first" aria-busy=${!isKnown(total)}>
    ${list.map((letter) => html`<${Line} key=${letter.id} letter=${letter} show=${show} isSeen=${letter.id === seen} />`)}
    ${total > list.length && html`<li class="muted rest">and ${count(total - list.length)} older</li>`}
  </ol>`

function Line({ letter, show, isSeen }) {
  const button = useRef(null)
  useLayoutEffect(() => {
    if (isSeen) button.current.focus()
  }, [])
  return html`<li>
    <button type="button" class="plain line" ref=${button} title=${`${absolute(letter.at)}\n${letter.reason}\nLook at it`} onClick=${() => show(letter)}>
      <span class="who dotted">${letter.queue}</span>
      <span class="what">${letter.reason}</span>
      <${Num} value=${count(letter.events)} unit=${events(letter.events)} />
      <time class="muted num" datetime=${letter.at}>${age((Date.now() - Date.parse(letter.at)) / 1000)}</time>
    </button>
  </li>`
}
