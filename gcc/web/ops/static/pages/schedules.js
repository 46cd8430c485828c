// What runs when, how it went last, and the way to run it now.

import { html } from "../vendor/htm-preact.module.js"
import { absolute, duration } from "../format.js"
import { Refused, useLook } from "../look.js"
import { Ago, Cell, Icon } from "../parts.js"

const STATES = {
  RUNNING: ["play", "accent", "running"],
  COMPLETE: ["check", "ok", "complete"],
  FAILED: ["cross", "bad", "failed"],
  CANCELLED: ["pause", "warn", "cancelled"],
}

export function SchedulesPage({ status, ask }) {
  const { data: told, refused } = useLook("/api/schedules", {}, { everyS: 10 })
  const now = Date.parse(status.at)
  const details = new Map((told ?? []).map((schedule) => [schedule.name, schedule.last_run]))
  return html`<section class="panel page-wide" aria-labelledby="h-schedules">
    <div class="head">
      <h2 id="h-schedules">Schedules</h2>
      <code title="The same in a terminal">python -m gcc.supervisor schedules</code>
    </div>
    <${Refused} refused=${refused} what="How the last runs went" />
    ${status.schedules.length === 0
      ? html`<${Elsewhere} status=${status} />`
      : html`<table class="rows">
          <thead>
            <tr>
              <th scope="col">Schedule</th>
              <th scope="col">When</th>
              <th scope="col">Next run</th>
              <th scope="col">Last run</th>
              <th scope="col">How it went</th>
              <th scope="col" class="r">Took</th>
              <th scope="col"><span class="sr">Run it now</span></th>
            </tr>
          </thead>
          <tbody>
            ${status.schedules.map((schedule) => html`<${Line} key=${schedule.name} ...${schedule} detail=${details.get(schedule.name)?.detail} now=${now} ask=${ask} />`)}
          </tbody>
        </table>`}
  </section>`
}

function Line({ name, cron, running, next_run, last_run, detail, now, ask }) {
  const [icon, tone, word] = last_run ? (STATES[last_run.status] ?? ["unknown", "muted", last_run.status]) : ["ring", "muted", "never"]
  const error = detail?.error
  return html`<tr>
    <th scope="row"><span class="label">${name}</span></th>
    <${Cell} word="When"><code title=${cron ? "Minute, hour, day of the month, month, day of the week" : ""}>${cron ?? "by hand"}</code><//>
    <${Cell} word="Next run" title=${next_run ? "" : "The leader knows, which is another process; or it runs by hand only"}>
      ${running ? html`<span class="state"><${Icon} name="play" tone="accent" />now</span>` : next_run && html`<${In} at=${next_run} now=${now} />`}
    <//>
    <${Cell} word="Last run">${last_run && html`<${Ago} at=${last_run.started_at} now=${now} word=" ago" />`}<//>
    <${Cell} word="How it went" kind="wrap grows"><span class="state"><${Icon} name=${icon} tone=${tone} />${word}</span>${error ? html` <span class="error-text">${String(error)}</span>` : ""}<//>
    <${Cell} word="Took" kind="r num">${last_run?.ended_at && duration((Date.parse(last_run.ended_at) - Date.parse(last_run.started_at)) / 1000)}<//>
    <td class="r act"><button class="small" aria-label=${`Run ${name} now…`} onClick=${() => ask({ kind: "schedule", name })}>Run now…</button></td>
  </tr>`
}

const In = ({ at, now }) => html`<time datetime=${at} title=${absolute(at)}>in ${duration(Math.max(0, Math.ceil((Date.parse(at) - now) / 1000)))}</time>`

function Elsewhere({ status }) {
  const others = status.processes.filter((process) => process.roles.includes("analytics") && !process.silent)
  return html`<p class="muted">
    This process has no role analytics, so it knows of no schedule.
    ${others.length > 0 ? ` They run in ${others.map(({ host, pid }) => `${host}:${pid}`).join(", ")}: ask there.` : " No other process that lives has it."}
  </p>`
}
