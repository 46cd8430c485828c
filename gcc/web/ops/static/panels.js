// The parts of the screen, each a function of the status object. Order never changes, space is reserved.

import { html, useState } from "./vendor/htm-preact.module.js"
import { UNKNOWN, absolute, age, count, duration, isKnown, percent, rate } from "./format.js"

const ICONS = {
  check: "M3.2 8.4l3.1 3.1 6.5-7",
  dot: "M8 4.8a3.2 3.2 0 1 0 0 6.4a3.2 3.2 0 1 0 0-6.4z",
  ring: "M8 4.6a3.4 3.4 0 1 0 0 6.8a3.4 3.4 0 1 0 0-6.8z",
  pause: "M5.8 4.2v7.6M10.2 4.2v7.6",
  warn: "M8 2.8L14.2 13.2H1.8zM8 6.8v3M8 11.4v.2",
  cross: "M4.2 4.2l7.6 7.6M11.8 4.2l-7.6 7.6",
  down: "M8 3v9.2M4.2 8.6L8 12.4l3.8-3.8",
  up: "M8 13V3.8M4.2 7.4L8 3.6l3.8 3.8",
  unknown: "M5.6 6a2.4 2.4 0 1 1 3.4 2.2c-.7.4-1 .8-1 1.6M8 12.2v.2",
}
const FILLED = new Set(["dot"])

export const Icon = ({ name, tone = "muted" }) =>
  html`<svg class=${`icon ${tone} ${FILLED.has(name) ? "filled" : ""}`} viewBox="0 0 16 16" aria-hidden="true">
    <path d=${ICONS[name]} />
  </svg>`

const ACTOR_STATES = {
  starting: ["up", "accent"],
  running: ["dot", "ok"],
  waiting: ["ring", "muted"],
  paused: ["pause", "warn"],
  backoff: ["warn", "warn"],
  draining: ["down", "accent"],
  finished: ["check", "muted"],
  failed: ["cross", "bad"],
}
const LAG_S_HIGH = 60
const FULL = 0.95
const HIGH = 0.75
const QUEUE_LATE_S = 60
const QUEUE_BAR_MAX = 1_000_000

export const Num = ({ value, unit, title }) =>
  html`<span class="num" title=${title ?? (value === UNKNOWN ? "not known yet" : undefined)}
    >${value}${unit && value !== UNKNOWN ? html` <span class="unit">${unit}</span>` : ""}</span
  >`

// Zeros step back, so that what moves is seen. What is not known steps back too, but is a dash.
const zero = (value) => (value ? "" : "zero")

// ---- the top line

// What is not well, in words; empty when all is.
export function troubles(status) {
  const found = []
  if (status.counts_error) found.push(`the counts are missing: ${status.counts_error}`)
  for (const actor of status.actors) {
    if (actor.state === "failed" || actor.state === "backoff") found.push(`${actor.name} is in ${actor.state}`)
    else if (actor.state === "paused") found.push(`${actor.name} is paused`)
    else if (isKnown(actor.lag_s) && actor.lag_s > LAG_S_HIGH)
      found.push(`${actor.name} lags by ${duration(actor.lag_s)}`)
  }
  for (const use of status.channels)
    if (use.kind === "queue" && use.oldest_s > QUEUE_LATE_S)
      found.push(`${use.name} waits for ${duration(use.oldest_s)}`)
  return found
}

const STATES = {
  starting: ["up", "accent", "Starting"],
  ready: ["check", "ok", "Ready"],
  draining: ["down", "accent", "Draining"],
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
    ["Failures / h", count(failures), "", failures > 0 ? "see errors" : null, "Jobs that FAILED in the last 60 minutes"],
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

const STAGE_ICONS = { waiting: ["ring", "muted"], draining: ["down", "accent"], drained: ["check", "ok"] }

export const DrainStages = ({ stages }) =>
  html`<ol class="stages" id="stages">
    ${stages.map((stage) => {
      const [icon, tone] = STAGE_ICONS[stage.state]
      const waits = stage.state === "draining" && stage.waited_for.length
      return html`<li class=${stage.state} key=${stage.name}>
        <${Icon} name=${icon} tone=${tone} />${stage.name}<span class="sr">${` ${stage.state}`}</span>
        ${stage.state !== "waiting" && html`<span class="num muted">${duration(stage.waited_s)}</span>`}
        ${waits ? html`<span class="muted">waits for ${stage.waited_for.join(", ")}</span>` : ""}
      </li>`
    })}
  </ol>`

// ---- the tree

// Names are paths: a group gets a line of its own unless it is an actor itself. Order of appearance.
export function tree(actors) {
  const groups = new Map()
  for (const actor of actors) {
    const [group, ...rest] = actor.name.split("/")
    if (!groups.has(group)) groups.set(group, { actor: null, members: [] })
    if (rest.length === 0) groups.get(group).actor = actor
    else groups.get(group).members.push({ actor, label: rest.at(-1), depth: rest.length })
  }
  return [...groups].flatMap(([label, { actor, members }]) => [{ actor, label, depth: 0 }, ...members])
}

export function Actors({ status }) {
  const [open, setOpen] = useState(new Set())
  const toggle = (name) => {
    const next = new Set(open)
    if (!next.delete(name)) next.add(name)
    setOpen(next)
  }
  return html`<section class="panel actors" aria-labelledby="h-actors">
    <h2 id="h-actors">Actors</h2>
    <table>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">State</th>
          <th scope="col" class="r" title="Mean of the last 10 seconds">Rate</th>
          <th scope="col" class="r wide">In flight</th>
          <th scope="col" class="r">Lag</th>
          <th scope="col" class="r wide">Restarts</th>
        </tr>
      </thead>
      <tbody>
        ${tree(status.actors).map((line) =>
          line.actor
            ? html`<${ActorLine} key=${line.actor.name} ...${line} isOpen=${open.has(line.actor.name)} toggle=${toggle} />`
            : html`<tr class="group" key=${`group ${line.label}`}>
                <th scope="row" colspan="6">${line.label}</th>
              </tr>`,
        )}
      </tbody>
    </table>
  </section>`
}

function ActorLine({ actor, label, depth, isOpen, toggle }) {
  const [icon, tone] = ACTOR_STATES[actor.state] ?? ["unknown", "muted"]
  const id = `actor-${actor.name.replace(/[^\w-]/g, "-")}`
  const late = isKnown(actor.lag_s) && actor.lag_s > LAG_S_HIGH
  return html`<tr class=${`depth-${Math.min(depth, 3)} ${depth === 0 ? "group" : ""}`} id=${id}>
      <th scope="row">
        <button
          class="name"
          aria-expanded=${isOpen}
          aria-controls=${`${id}-more`}
          title=${actor.last_error ? `Last error: ${actor.last_error}` : actor.name}
          onClick=${() => toggle(actor.name)}
        >
          <span class="label">${label}</span>
          ${actor.last_error && html`<span class="erred" aria-label="has a last error">!</span>`}
        </button>
      </th>
      <td class="state"><${Icon} name=${icon} tone=${tone} />${actor.state}</td>
      <td class=${`r ${zero(actor.rate_per_s)}`}><${Num} value=${rate(actor.rate_per_s)} unit="/s" /></td>
      <td class=${`r wide ${zero(actor.in_flight)}`}><${Num} value=${count(actor.in_flight)} /></td>
      <td class=${`r ${zero(actor.lag_s)}`}>
        ${late && html`<${Icon} name="warn" tone="warn" />`}
        <${Num} value=${duration(actor.lag_s)} title=${isKnown(actor.lag_s) ? undefined : "has no lag"} />
      </td>
      <td class=${`r wide ${zero(actor.restarts)}`}><${Num} value=${count(actor.restarts)} /></td>
    </tr>
    ${isOpen &&
    html`<tr class="more" id=${`${id}-more`}>
      <td colspan="6">
        <p class="muted">
          ${count(actor.done)} done · ${count(actor.failed)} failed · ${count(actor.in_flight)} in flight ·${" "}
          ${count(actor.restarts)} restarts
        </p>
        <p class="error-text">${actor.last_error ?? "No error since the start."}</p>
      </td>
    </tr>`}`
}

// ---- channels, pools, queues

const KINDS = [
  ["channel", "Channels"],
  ["pool", "Pools"],
  ["queue", "Queues"],
]

export const Flows = ({ status }) =>
  html`<section class="panel channels" aria-labelledby="h-channels">
    <h2 id="h-channels">Channels and queues</h2>
    <div class="kinds">
      ${KINDS.map(([kind, title]) => {
        const uses = status.channels.filter((use) => use.kind === kind)
        if (uses.length === 0) return ""
        return html`<ul class=${`uses ${kind}`} key=${kind} aria-label=${title}>
          <li class="kind" aria-hidden="true">${title}</li>
          ${uses.map((use) => (kind === "queue" ? html`<${Queue} key=${use.name} ...${use} />` : html`<${Use} key=${use.name} ...${use} />`))}
        </ul>`
      })}
    </div>
  </section>`

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
function Queue({ name, used, oldest_s, in_flight }) {
  const share = used > 0 ? Math.min(1, Math.log10(1 + used) / Math.log10(QUEUE_BAR_MAX)) : 0
  const late = oldest_s > QUEUE_LATE_S
  const hint = `${name}: ${count(used)} events, ${count(in_flight)} of them with a consumer (bar: logarithmic, full at ${count(QUEUE_BAR_MAX)})`
  return html`<li title=${hint}>
    <span class="name">${name}</span>
    <span class="note">${used > 0 && html`${late && html`<${Icon} name="warn" tone="warn" />`}${duration(oldest_s)}`}</span>
    <span class="num">${count(used)}</span>
    <${Bar} share=${share} tone=${late ? "warn" : "accent"} />
  </li>`
}

const Bar = ({ share, tone }) =>
  html`<span class="bar" aria-hidden="true"><span class=${tone} style=${{ transform: `scaleX(${Math.min(1, share)})` }}></span></span>`

// ---- jobs

const JOB_STATES = [
  ["PENDING", "Waiting"],
  ["PROCESSING", "Running"],
  ["COMPLETE", "Complete"],
  ["FAILED", "Failed"],
  ["EXPIRED", "Expired"],
]

export function Jobs({ status }) {
  const flows = Object.entries(status.jobs_by_flow).sort(([a], [b]) => a.localeCompare(b))
  const named = new Set(JOB_STATES.map(([state]) => state))
  const others = Object.keys(status.jobs).filter((state) => !named.has(state))
  const columns = [...JOB_STATES, ...others.sort().map((state) => [state, state.toLowerCase()])]
  return html`<section class="panel jobs" aria-labelledby="h-jobs">
    <h2 id="h-jobs">Jobs</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Flow</th>
            ${columns.map(([state, word]) => html`<th scope="col" class="r" key=${state} title=${state}>${word}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${flows.map(
            ([flow, states]) => html`<tr key=${flow}>
              <th scope="row" title=${flow}><span class="label">${flow}</span></th>
              ${columns.map(
                ([state]) =>
                  html`<td class=${`r ${zero(states[state])}`} key=${state}><${Num} value=${count(states[state] ?? 0)} /></td>`,
              )}
            </tr>`,
          )}
          ${flows.length === 0 &&
          html`<tr>
            <td class="muted" colspan=${columns.length + 1}>
              ${isKnown(status.counts_age_s) ? "No jobs yet." : "Not counted yet."}
            </td>
          </tr>`}
        </tbody>
      </table>
    </div>
  </section>`
}

// ---- errors

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
              <span class="who">${error.actor}</span>
              <time class="muted num" datetime=${error.at}>${age((now - Date.parse(error.at)) / 1000)}</time>
              <span class="what">${error.error}</span>
            </li>`,
          )}
        </ol>`}
  </section>`
}
