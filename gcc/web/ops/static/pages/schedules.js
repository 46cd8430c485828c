// What runs when, how it went last, what is skipped and what waits; and the ways to run one now, or to pause them all. One
// at /schedules/NAME, with what its last runs did.

import { html, useState } from "../vendor/htm-preact.module.js"
import { absolute, count, duration, many } from "../format.js"
import { Choice, Typed } from "../form.js"
import { Refused, useLook } from "../look.js"
import { Ago, Cell, Elsewhere, Icon, In } from "../parts.js"
import { address, decoded, go } from "../route.js"
import { RUN_STATES, didWhat } from "../runs.js"

const SCHEDULER = "analytics/scheduler"
const COLUMNS = 7

// What of them is shown: a word for people, and which lines it means.
const SHOWN = [
  ["", "all", () => true],
  ["running", "running", (line) => line.running],
  ["failed", "failed last", (line) => line.last_run?.status === "FAILED"],
  ["skipped", "skipped", (line) => line.skipped > 0],
  ["waiting", "waiting for something", (line) => line.waits_for],
]

export const SchedulesPage = ({ status, ask, rest, query }) =>
  rest ? html`<${OneSchedule} key=${rest} name=${decoded(rest)} status=${status} ask=${ask} />` : html`<${All} status=${status} ask=${ask} query=${query} />`

function All({ status, ask, query }) {
  const { data: told, refused } = useLook("/api/schedules", {}, { everyS: 3 })
  const lines = told ?? status.schedules
  const { text = "", show = "" } = query
  const set = (changes) => go(address("/schedules", { text, show, ...changes }), { replace: true })
  const isPaused = status.paused.includes(SCHEDULER)
  const isShown = SHOWN.find(([key]) => key === show)?.[2] ?? SHOWN[0][2]
  const found = lines.filter((line) => isShown(line) && line.name.toLowerCase().includes(text.toLowerCase()))
  const now = Date.parse(status.at)
  return html`<section class="panel page-wide schedules" aria-labelledby="h-schedules">
    <div class="head">
      <h2 id="h-schedules">Schedules</h2>
      <code title="The same in a terminal">python -m gcc.supervisor schedules</code>
      ${lines.length > 0 &&
      html`<button class="small" id="pause-schedules" onClick=${() => ask({ kind: isPaused ? "resume" : "pause", what: SCHEDULER })}>
        <${Icon} name=${isPaused ? "play" : "pause"} tone="inherit" />${isPaused ? "Resume all…" : "Pause all…"}
      </button>`}
    </div>
    ${isPaused && html`<p class="notice" id="paused"><${Icon} name="pause" tone="warn" />All are paused: due times are skipped, until they are resumed. What runs goes on, and one can be run now.</p>`}
    <${Refused} refused=${refused} what="How the last runs went" />
    ${lines.length === 0
      ? html`<${Elsewhere} status=${status} what="schedule" />`
      : html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
            <${Typed} id="s-text" label="Name" value=${text} placeholder="any" set=${(value) => set({ text: value })} />
            <${Choice} id="s-show" label="Show" value=${show} set=${(value) => set({ show: value })}
              options=${SHOWN.map(([key, word, is]) => [key, `${word} (${count(lines.filter(is).length)})`])} />
          </form>
          <p class="muted note" id="found" aria-live="polite">${sum(lines)}</p>
          ${found.length === 0 && html`<p class="muted">None of them.</p>`}
          ${found.length > 0 &&
          html`<table class="rows">
            <thead>
              <tr>
                <th scope="col">Schedule</th>
                <th scope="col" title="UTC">When</th>
                <th scope="col">Next run</th>
                <th scope="col">Last run</th>
                <th scope="col">How it went</th>
                <th scope="col" class="r">Took</th>
                <th scope="col"><span class="sr">Run it now</span></th>
              </tr>
            </thead>
            ${groups(found).map(
              ([kind, members]) => html`<tbody key=${kind}>
                ${kind && html`<tr class="group"><th scope="rowgroup" colspan=${COLUMNS}>${kind}</th></tr>`}
                ${members.map((line) => html`<${Line} key=${line.name} ...${line} now=${now} isPaused=${isPaused} ask=${ask} />`)}
              </tbody>`,
            )}
          </table>`}`}
  </section>`
}

// By kind, in the order in which kinds appear.
function groups(lines) {
  const kinds = new Map()
  for (const line of lines) kinds.set(line.kind, [...(kinds.get(line.kind) ?? []), line])
  return [...kinds]
}

function sum(lines) {
  const n = (is) => lines.filter(is).length
  const parts = SHOWN.slice(1).map(([, word, is]) => [n(is), word]).filter(([found]) => found > 0)
  return `${many(lines.length, "schedule")}${parts.length ? `: ${parts.map(([found, word]) => `${count(found)} ${word}`).join(", ")}` : ""}. Cron lines are UTC.`
}

function Line({ name, does, cron, running, next_run, last_run, skipped, waits_for, now, isPaused, ask }) {
  const next = running
    ? html`<span class="state"><${Icon} name="play" tone="accent" />now</span>`
    : waits_for
      ? html`<span class="state muted"><${Icon} name="clock" />waits for ${waits_for}</span>`
      : isPaused && cron
        ? html`<span class="state"><${Icon} name="pause" tone="warn" />paused</span>`
        : next_run && html`<${In} at=${next_run} now=${now} />`
  return html`<tr>
    <th scope="row"><a class="label" href=${`/schedules/${encodeURIComponent(name)}`}>${name}</a>${does && html` <small class="muted">${does}</small>`}</th>
    <${Cell} word="When"><code title=${cron ? "Minute, hour, day of the month, month, day of the week; UTC" : ""}>${cron ?? "by hand"}</code><//>
    <${Cell} word="Next run" kind=${waits_for ? "wrap" : ""} title=${next_run || waits_for ? "" : "The leader knows, which is another process; or it runs by hand only"}>${next}<//>
    <${Cell} word="Last run">${last_run && html`<${Ago} at=${last_run.started_at} now=${now} word=" ago" />`}<//>
    <${Cell} word="How it went" kind="wrap grows">${(last_run || !waits_for) && html`<${Went} last_run=${last_run} skipped=${skipped} />`}<//>
    <${Cell} word="Took" kind="r num">${last_run?.ended_at && duration((Date.parse(last_run.ended_at) - Date.parse(last_run.started_at)) / 1000)}<//>
    <td class="r act">${!waits_for && html`<button class="small" aria-label=${`Run ${name} now…`} onClick=${() => ask({ kind: "schedule", name })}>Run now…</button>`}</td>
  </tr>`
}

function Went({ last_run, skipped }) {
  const [icon, tone, word] = last_run ? (RUN_STATES[last_run.status] ?? ["unknown", "muted", last_run.status]) : ["ring", "muted", "never"]
  const error = last_run?.detail?.error
  return html`<span class="state"><${Icon} name=${icon} tone=${tone} />${word}</span>${" "}
    ${error ? html`<span class="error-text">${String(error)}</span>` : html`<span class="muted">${didWhat(last_run?.detail)}</span>`}${" "}
    ${skipped > 0 && html`<span class="tag" title="Due times in a row at which the run before had not ended"><${Icon} name="warn" tone="warn" />skipped ${many(skipped, "time")}</span>`}`
}

// ---- one

function OneSchedule({ name, status, ask }) {
  const { data: runs, refused } = useLook(`/api/schedules/${encodeURIComponent(name)}/runs`, { limit: RUNS }, { everyS: 3 })
  const { data: told } = useLook("/api/schedules", {}, { everyS: 3 })
  const line = (told ?? status.schedules).find((one) => one.name === name)
  const isPaused = status.paused.includes(SCHEDULER)
  const now = Date.parse(status.at)
  return html`<section class="panel page-wide" aria-labelledby="h-schedule">
    <p class="crumbs"><a href="/schedules">All schedules</a></p>
    <div class="head">
      <h2 id="h-schedule">${name}</h2>
      ${line?.running && html`<span class="state"><${Icon} name="play" tone="accent" />running</span>`}
      ${line?.waits_for && html`<span class="state muted"><${Icon} name="clock" />waits for ${line.waits_for}</span>`}
      ${isPaused && line?.cron && html`<span class="state"><${Icon} name="pause" tone="warn" />all are paused</span>`}
      ${line?.next_run && !isPaused && html`<span class="muted">next <${In} at=${line.next_run} now=${now} /></span>`}
      ${line?.cron && html`<span class="muted"><code title="Minute, hour, day of the month, month, day of the week; UTC">${line.cron}</code></span>`}
      ${line && !line.waits_for && html`<button class="small" id="run" onClick=${() => ask({ kind: "schedule", name })}>Run now…</button>`}
    </div>
    ${line?.does && html`<p class="muted" id="does">It ${line.does}.</p>`}
    ${line?.skipped > 0 && html`<p class="notice" id="skipped"><${Icon} name="warn" tone="warn" />Skipped ${many(line.skipped, "time")} in a row: the run before had not ended.</p>`}
    <${Refused} refused=${refused} what="Its runs" />
    ${!runs && !refused && html`<p class="muted">Looking…</p>`}
    ${runs?.length === 0 && html`<p class="muted">It has not run yet.</p>`}
    ${runs?.length > 0 &&
    html`<table class="rows runs">
      <thead>
        <tr>
          <th scope="col">Began</th>
          <th scope="col">How it went</th>
          <th scope="col" class="r">Took</th>
        </tr>
      </thead>
      <tbody>
        ${runs.map((run) => html`<${RunLine} key=${run.started_at} run=${run} now=${now} />`)}
      </tbody>
    </table>`}
  </section>`
}

const RUNS = 50

function RunLine({ run, now }) {
  const [isOpen, setOpen] = useState(false)
  const { started_at, ended_at, detail } = run
  return html`<tr>
    <th scope="row">
      ${detail && Object.keys(detail).length > 0
        ? html`<button class="plain" aria-expanded=${isOpen} title="All that it did" onClick=${() => setOpen(!isOpen)}><${Icon} name=${isOpen ? "open" : "shut"} /> ${absolute(started_at)}</button>`
        : absolute(started_at)}
    </th>
    <${Cell} word="How it went" kind="wrap grows">
      <${Went} last_run=${run} skipped=${0} />
      ${isOpen && html`<${Detail} detail=${detail} />`}
    <//>
    <${Cell} word="Took" kind="r num">${ended_at ? duration((Date.parse(ended_at) - Date.parse(started_at)) / 1000) : html`<span class="muted">${duration(Math.max(0, Math.floor((now - Date.parse(started_at)) / 1000)))} so far</span>`}<//>
  </tr>`
}

// Models as a list, the longest first; all else as it is.
function Detail({ detail }) {
  const { models, ...rest } = detail
  const built = Array.isArray(models) && models.every((each) => each?.model) ? models : null
  const other = built ? rest : detail
  return html`${built?.length > 0 &&
    html`<ul class="built">
      ${[...built].sort((a, b) => b.seconds - a.seconds).map(
        ({ model, seconds, rows, error }) => html`<li key=${model}><a href=${`/models/${encodeURIComponent(model)}`}>${model}</a> <span class="num muted">${duration(seconds)} · ${many(rows, "row")}</span>${error ? html` <span class="error-text">${error}</span>` : ""}</li>`,
      )}
    </ul>`}
    ${Object.keys(other).length > 0 && html`<pre class="body short" tabindex="0" aria-label="What it did, secrets masked">${JSON.stringify(other, null, 2)}</pre>`}`
}
