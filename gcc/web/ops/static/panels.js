// The parts of the screen, each a function of the status object. Order never changes, space is reserved.

import { html, useRef, useState } from "./vendor/htm-preact.module.js"
import { UNKNOWN, absolute, age, count, duration, isKnown, percent, rate } from "./format.js"
import { LAG_S_HIGH, QUEUE_LATE_S, idleUses, troubles } from "./health.js"
import { Icon } from "./parts.js"

const FULL = 0.95
const HIGH = 0.75
const QUEUE_BAR_MAX = 1_000_000

// ---- the top line

const STATES = {
  starting: ["up", "accent", "Starting"],
  ready: ["check", "ok", "Ready"],
  draining: ["down", "accent", "Draining"],
  unready: ["warn", "warn", "Not ready"],
}

export function Verdict({ status, link }) {
  const [icon, tone, word] =
    link === "open" ? (STATES[status.state] ?? ["unknown", "muted", status.state]) : ["unknown", "warn", "No connection"]
  const found = troubles(status)
  const well = found.length === 0
  const started = status.actors.length > 0
  return html`<div class="verdict">
    <span class=${`pill ${tone}`} id="state"><${Icon} name=${icon} tone=${tone} />${word}</span>
    <span class="verdict-text" title=${found.join("\n")} id="verdict">
      <${Icon} name=${well ? "check" : "warn"} tone=${well ? "muted" : "warn"} />
      <span>${well ? (started ? `All ${status.actors.length} actors are well` : "No actor has started yet") : sentence(found)}</span>
    </span>
  </div>`
}

const sentence = (found) => (found.length === 1 ? found[0] : `${found[0]}, and ${found.length - 1} more`)

export function Numbers({ status }) {
  const lag = status.stored_lag_s
  const failures = status.failures_per_hour
  const known = isKnown(status.counts_age_s)
  const [lagNumber, lagUnit] = split(duration(lag))
  const tiles = [
    ["Events stored", rate(status.events_per_s), "/s", null, "Mean of the last 10 seconds"],
    ["Stored lag", lagNumber, lagUnit, isKnown(lag) && lag > LAG_S_HIGH ? "high" : null, "Age of the oldest event that is not stored yet"],
    ["Waiting", known ? count(status.jobs.PENDING ?? 0) : UNKNOWN, "jobs", null, "Jobs in state PENDING, all flows"],
    ["Failures / h", count(failures), "", failures > 0 ? "see errors" : null, "Jobs that FAILED in the last 60 minutes, counted up to 100,000"],
    ["In flight", count(status.in_flight), "jobs", null, "Jobs in state PROCESSING, all flows"],
  ]
  return html`<dl class="numbers">
    ${tiles.map(
      ([label, value, unit, alarm, hint]) => html`<div class="tile" key=${label} title=${hint}>
        <dt>${label}</dt>
        <dd>
          <span class="big">${value}</span><span class="unit">${value === UNKNOWN ? "" : unit}</span>
          ${alarm && html`<span class="alarm"><${Icon} name="warn" tone="warn" />${alarm}</span>`}
        </dd>
      </div>`,
    )}
  </dl>`
}

// "3 min 20 s" keeps its units inside; "2.4 s" has its unit set apart.
function split(text) {
  const parts = text.split(" ")
  return parts.length === 2 ? parts : [text, ""]
}

// One line whose height is always there: the drain, else the first crawl, else how fresh the counts are.
export function Progress({ status }) {
  if (status.drain) return html`<${DrainStages} stages=${status.drain} />`
  const crawl = status.first_crawl
  if (crawl && crawl.done < crawl.total)
    return html`<div class="progress" id="first-crawl">
      <span>First crawl</span>
      <progress max=${crawl.total} value=${crawl.done} aria-label="First crawl"></progress>
      <span class="num">${count(crawl.done)} of ${count(crawl.total)}</span>
      <span class="num muted">${percent(crawl.done, crawl.total)}</span>
    </div>`
  const late = status.counts_error || status.counts_age_s > 5
  const text = isKnown(status.counts_age_s)
    ? `Jobs and queues were counted ${late ? `${duration(status.counts_age_s)} ago` : "just now"}`
    : "Jobs and queues were not counted yet"
  return html`<div class="progress muted" title=${status.counts_error ?? ""}>
    ${late ? html`<${Icon} name="warn" tone="warn" />` : ""}<span>${text}</span>
  </div>`
}

const NAMED_MAX = 3
const some = (names) =>
  names.length > NAMED_MAX ? `${names.slice(0, NAMED_MAX).join(", ")} and ${names.length - NAMED_MAX} more` : names.join(", ")

const STAGE_ICONS = { waiting: ["ring", "muted"], draining: ["down", "accent"], drained: ["check", "ok"] }

export const DrainStages = ({ stages }) =>
  html`<ol class="stages" id="stages">
    ${stages.map((stage) => {
      const [icon, tone] = STAGE_ICONS[stage.state]
      const waits = stage.state === "draining" && stage.waited_for.length
      return html`<li class=${stage.state} key=${stage.name}>
        <${Icon} name=${icon} tone=${tone} />${stage.name}<span class="sr">${` ${stage.state}`}</span>
        ${stage.state !== "waiting" && html`<span class="num muted">${duration(stage.waited_s)}</span>`}
        ${waits ? html`<span class="muted">waits for ${some(stage.waited_for)}</span>` : ""}
      </li>`
    })}
  </ol>`

// ---- channels, pools, queues

const KINDS = [
  ["channel", "Channels"],
  ["pool", "Pools"],
  ["queue", "Queues"],
]

export function Flows({ status }) {
  const used = useRef(new Set()) // what held something since the page is open: it stays in view
  const [open, setOpen] = useState({})
  const holdsNothing = idleUses(status)
  for (const use of status.channels) if (use.used > 0) used.current.add(`${use.kind} ${use.name}`)
  const isIdle = (use) => !used.current.has(`${use.kind} ${use.name}`) && holdsNothing(use)
  return html`<section class="panel channels" aria-labelledby="h-channels">
    <h2 id="h-channels">Channels and queues</h2>
    <div class="kinds">
      ${KINDS.map(([kind, title]) => {
        const uses = status.channels.filter((use) => use.kind === kind)
        if (uses.length === 0) return ""
        const line = (use) => (kind === "queue" ? html`<${Queue} key=${use.name} ...${use} />` : html`<${Use} key=${use.name} ...${use} />`)
        const folded = uses.filter(isIdle)
        return html`<ul class=${`uses ${kind}`} key=${kind} aria-label=${title}>
          <li class="kind" aria-hidden="true">${title}</li>
          ${uses.filter((use) => !isIdle(use)).map(line)}
          ${folded.length > 0 &&
          html`<li class="fold" key="fold">
            <button class="plain muted" id=${`fold-${kind}`} aria-expanded=${!!open[kind]} title="Empty, and nothing came since the page is open"
              onClick=${() => setOpen({ ...open, [kind]: !open[kind] })}>
              <${Icon} name=${open[kind] ? "open" : "shut"} />${folded.length} idle ${title.toLowerCase()}
            </button>
          </li>`}
          ${open[kind] && folded.map(line)}
        </ul>`
      })}
    </div>
  </section>`
}

// A full channel is no trouble in itself: it tells that what comes after it is the slow part.
function Use({ name, used, size, kind }) {
  const share = size ? used / size : 0
  const tone = share >= HIGH ? "warn" : "accent"
  const word = share >= FULL ? (kind === "pool" ? "all taken" : "full") : share >= HIGH ? "high" : ""
  return html`<li>
    <span class="name" title=${name}>${name}</span>
    <span class="note">${word && html`<${Icon} name="warn" tone=${tone} />${word}`}</span>
    <span class="num">${count(used)}<span class="unit"> / ${count(size)}</span></span>
    <${Bar} share=${share} tone=${tone} />
  </li>`
}

// A queue has no size: its bar is logarithmic, full at a million; what tells is the age of its oldest event.
function Queue({ name, consumer, used, oldest_s, in_flight }) {
  const share = used > 0 ? Math.min(1, Math.log10(1 + used) / Math.log10(QUEUE_BAR_MAX)) : 0
  const late = consumer && oldest_s > QUEUE_LATE_S
  const taken = consumer ? `${count(in_flight)} of them with a consumer` : "kept: nobody takes from it yet"
  const hint = `${name}: ${count(used)} events, ${taken} (bar: logarithmic, full at ${count(QUEUE_BAR_MAX)})`
  return html`<li title=${hint}>
    <span class="name">${name}</span>
    <span class="note">${used > 0 && html`${late && html`<${Icon} name="warn" tone="warn" />`}${consumer ? "" : "kept "}${duration(oldest_s)}`}</span>
    <span class="num">${count(used)}</span>
    <${Bar} share=${share} tone=${late ? "warn" : "accent"} />
  </li>`
}

export const Bar = ({ share, tone }) =>
  html`<span class="bar" aria-hidden="true"><span class=${tone} style=${{ transform: `scaleX(${Math.min(1, share)})` }}></span></span>`

// ---- errors, actions

export function Errors({ status }) {
  const now = Date.parse(status.at)
  const errors = [...status.errors].reverse()
  return html`<section class="panel errors" aria-labelledby="h-errors">
    <h2 id="h-errors">Last errors</h2>
    ${errors.length === 0
      ? html`<p class="muted none"><${Icon} name="check" tone="ok" />None since the start.</p>`
      : html`<ol class="scroll" tabindex="0" aria-label="Last errors, newest first">
          ${errors.map(
            (error) => html`<li key=${error.at + error.actor} title=${`${absolute(error.at)}\n${error.actor}\n${error.error}`}>
              <span class="who">${error.job ? html`<a href=${`/jobs/${error.job}`} title="The job">${error.actor}</a>` : error.actor}</span>
              <time class="muted num" datetime=${error.at}>${age((now - Date.parse(error.at)) / 1000)}</time>
              <span class="what">${error.error}</span>
            </li>`,
          )}
        </ol>`}
  </section>`
}

const VERBS = "python -m gcc.supervisor actions"

export function ActionLog({ status }) {
  const now = Date.parse(status.at)
  return html`<section class="panel log" aria-labelledby="h-log">
    <div class="head">
      <h2 id="h-log">Action log</h2>
      <code title="The same in a terminal">${VERBS}</code>
    </div>
    ${status.actions.length === 0
      ? html`<p class="muted">
          Nobody has done anything yet. A pause, a change of concurrency, a retry, a cancellation, a drain: each is kept here with who did it and why.
        </p>`
      : html`<table>
          <thead>
            <tr>
              <th scope="col">When</th>
              <th scope="col">Who</th>
              <th scope="col">What</th>
              <th scope="col" class="r">Things</th>
              <th scope="col">Why</th>
            </tr>
          </thead>
          <tbody>
            ${status.actions.map((action) => html`<${ActionLine} key=${action.id} action=${action} now=${now} />`)}
          </tbody>
        </table>`}
  </section>`
}

function ActionLine({ action: { at, who, verb, target, things, why }, now }) {
  return html`<tr>
    <td class="when"><time class="muted num" datetime=${at} title=${absolute(at)}>${ago((now - Date.parse(at)) / 1000)}</time></td>
    <td class="who" title=${who}>${who}</td>
    <td class="what" title=${`${verb} ${target}`}><b>${verb}</b> ${target}</td>
    <td class="r things"><span class="num" title=${isKnown(things) ? `${count(things)} things were changed` : "Nothing to count"}>${count(things)}</span></td>
    <td class="why" title=${why}>${why || html`<span class="muted">no reason given</span>`}</td>
  </tr>`
}

const ago = (seconds) => (seconds < 1 ? "now" : `${age(seconds)} ago`)
