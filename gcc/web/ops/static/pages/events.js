// Events on their way: the queues with who takes from them, and the dead letters.

import { html, useState } from "../vendor/htm-preact.module.js"
import { count, duration } from "../format.js"
import { QUEUE_LATE_S, condition, idleUses } from "../health.js"
import { events, letters } from "../letters.js"
import { Filters, Lines, filterOf, useLetters } from "../letters_list.js"
import { Refused } from "../look.js"
import { Cell, Icon, zero } from "../parts.js"
import { address, go } from "../route.js"

export const EventsPage = ({ status, ask, query }) =>
  html`<${Letters} status=${status} ask=${ask} query=${query} /><${Queues} status=${status} ask=${ask} />`

function Queues({ status, ask }) {
  const [isOpen, setOpen] = useState(false)
  const queues = status.channels.filter(({ kind }) => kind === "queue")
  const isIdle = idleUses(status)
  const folded = queues.filter(isIdle)
  const shown = isOpen ? queues : queues.filter((queue) => !isIdle(queue))
  return html`<section class="panel queues" aria-labelledby="h-queues">
    <div class="head"><h2 id="h-queues">Queues</h2></div>
    ${queues.length === 0 && html`<p class="muted">${status.counts_error ? `They cannot be counted now: ${status.counts_error}` : "None was counted yet."}</p>`}
    ${shown.length > 0 &&
    html`<table class="rows">
      <thead>
        <tr>
          <th scope="col">Queue</th>
          <th scope="col" class="r">Events</th>
          <th scope="col" class="r" title="Of them, with a consumer">In hand</th>
          <th scope="col" class="r">Oldest</th>
          <th scope="col">Taken by</th>
          <th scope="col"><span class="sr">Pause or resume</span></th>
        </tr>
      </thead>
      <tbody>
        ${shown.map((queue) => html`<${Queue} key=${queue.name} ...${queue} status=${status} ask=${ask} />`)}
      </tbody>
    </table>`}
    ${folded.length > 0 &&
    html`<p class="note"><button class="small" id="idle-queues" aria-expanded=${isOpen} title="Empty, and nothing came for their consumers here since the start" onClick=${() => setOpen(!isOpen)}>
      ${isOpen ? "Hide" : "Show"} ${count(folded.length)} idle queues
    </button></p>`}
  </section>`
}

function Queue({ name, used, in_flight, oldest_s, consumer, status, ask }) {
  const actor = status.actors.find((one) => one.name === consumer)
  const isPaused = status.paused.includes(consumer)
  const [icon, tone, word] = actor ? condition(actor, isPaused) : ["ring", "muted", consumer ? "in another process" : "kept: nobody takes yet"]
  const verb = isPaused ? "Resume" : "Pause"
  const late = consumer && oldest_s > QUEUE_LATE_S
  return html`<tr>
    <th scope="row"><span class="label" title=${name}>${name}</span></th>
    <${Cell} word="Events" kind=${`r ${zero(used)}`}><span class="num">${count(used)}</span><//>
    <${Cell} word="In hand" kind=${`r ${zero(in_flight)}`}><span class="num">${count(in_flight)}</span><//>
    <${Cell} word="Oldest" kind="r num">${used > 0 && html`<span class="state">${late && html`<${Icon} name="warn" tone="warn" />`}${duration(oldest_s)}</span>`}<//>
    <${Cell} word="Taken by" kind="grows"><span class="state" title=${consumer}><${Icon} name=${icon} tone=${tone} />${word}</span><//>
    <td class="r act">
      ${actor?.can_pause && html`<button class="small" aria-label=${`${verb} what takes from ${name}…`} onClick=${() => ask({ kind: isPaused ? "resume" : "pause", what: consumer })}>${verb}…</button>`}
    </td>
  </tr>`
}

function Letters({ status, ask, query }) {
  const { queue = "", reason = "", since = "" } = query
  const chosen = { queue, reason, since }
  const found = useLetters(chosen)
  const { list = [], total, events: held, refused } = found
  const isMeant = Object.keys(filterOf(chosen)).length > 0
  const set = (changes) => go(address("/events", { ...chosen, ...changes }), { replace: true })
  return html`<section class="panel waiting" aria-labelledby="h-waiting">
    <div class="head">
      <h2 id="h-waiting">Dead letters</h2>
      <span class="sum">
        ${total === 0 && html`<${Icon} name="check" tone="ok" />${isMeant ? "No such letter waits." : "None waits."}`}
        ${total > 0 && html`<${Icon} name="warn" tone="warn" /><b class="num">${count(total)}</b> ${letters(total)} <span class="muted">with ${count(held)} ${events(held)}</span>`}
      </span>
      <button class="small" disabled=${!(total > 0)} onClick=${() => ask({ kind: "letters", ...chosen })}>Replay…</button>
    </div>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Filters} status=${status} ...${chosen} given=${queue} setQueue=${(value) => set({ queue: value })} setReason=${(value) => set({ reason: value })} setSince=${(value) => set({ since: value })} />
    </form>
    <${Refused} refused=${refused} what="The letters" />
    <${Lines} list=${list} total=${total} show=${(letter) => ask({ kind: "letters", ...chosen, letter })} />
  </section>`
}
