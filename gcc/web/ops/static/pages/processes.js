// Every process of the platform, as it told of itself last.

import { html } from "../vendor/htm-preact.module.js"
import { absolute, age, count, duration, span } from "../format.js"
import { Cell, Icon } from "../parts.js"

const STATES = { starting: ["up", "accent"], ready: ["check", "ok"], draining: ["down", "accent"] }

export function ProcessesPage({ status }) {
  const now = Date.parse(status.at)
  return html`<section class="panel page-wide" aria-labelledby="h-processes">
    <div class="head">
      <h2 id="h-processes">Processes</h2>
      <code title="The same in a terminal">python -m gcc.supervisor status</code>
    </div>
    ${status.differing_limits.map(
      (told) => html`<p class="refusal" role="alert" key=${told}><${Icon} name="warn" tone="bad" />Limits differ, the sources may be asked too often: ${told}</p>`,
    )}
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">Process</th>
          <th scope="col">State</th>
          <th scope="col">Roles</th>
          <th scope="col">Version</th>
          <th scope="col">Limits</th>
          <th scope="col">Settings</th>
          <th scope="col" class="r">Up</th>
          <th scope="col" class="r">Seen</th>
        </tr>
      </thead>
      <tbody>
        ${status.processes.map((process, place) => html`<${Line} key=${process.id} ...${process} isThis=${place === 0} now=${now} />`)}
      </tbody>
    </table>
    ${status.processes.length === 1 && html`<p class="muted note">It is the only one. Another that is started on the same database shows here within seconds.</p>`}
  </section>`
}

function Line({ host, pid, version, state, silent, seen_s, roles, drained, away, limits, settings, started_at, isThis, now }) {
  const [icon, tone, word] = silent ? ["clock", "warn", state === "draining" ? "left" : "silent"] : [...(STATES[state] ?? ["unknown", "muted"]), state]
  const missed = silent ? [] : away
  return html`<tr>
    <th scope="row"><span class="label">${host}:${pid}</span>${isThis && html` <span class="muted">this one</span>`}</th>
    <${Cell} word="State"><span class="state"><${Icon} name=${icon} tone=${tone} />${word}</span>${missed.map((part) => html` <span class="tag" key=${part}><${Icon} name="warn" tone="warn" />without ${part}</span>`)}<//>
    <${Cell} word="Roles" kind="wrap">
      ${roles.map((role) => html`<span class="tag" key=${role}>${role}${drained.includes(role) ? html` <b>drained</b>` : ""}</span>${" "}`)}
    <//>
    <${Cell} word="Version" kind="num">${version}<//>
    <${Cell} word="Limits" kind="wrap">${Object.entries(limits ?? {}).map(([source, limit]) => html`<span class="tag num" key=${source}>${source} ${inWords(limit)}</span>${" "}`)}<//>
    <${Cell} word="Settings" kind="wrap muted">${settings}<//>
    <${Cell} word="Up" kind="r num" title=${`Started ${absolute(started_at)}`}>${duration(Math.max(0, Math.floor((now - Date.parse(started_at)) / 1000)))}<//>
    <${Cell} word="Seen" kind="r num">${isThis ? "now" : `${age(Math.max(1, seen_s))} ago`}<//>
  </tr>`
}

const inWords = (limit) => `${count(limit?.calls)}${limit?.per_s === 1 ? "/s" : ` per ${span(limit?.per_s)}`}`
