// Jobs by flow and state, and how many of a flow run at once. A number opens what can be done to those jobs.

import { html, useState } from "./vendor/htm-preact.module.js"
import { UNKNOWN, count, isKnown } from "./format.js"
import { Icon, Num, zero } from "./parts.js"

export const JOB_STATES = [
  ["PENDING", "Waiting"],
  ["PROCESSING", "Running"],
  ["COMPLETE", "Complete"],
  ["FAILED", "Failed"],
  ["EXPIRED", "Expired"],
  ["CANCELLED", "Cancelled"],
]
export const MOVABLE = { retry: ["FAILED", "EXPIRED", "CANCELLED"], cancel: ["PENDING", "PROCESSING"] }
const VERBS = Object.fromEntries(Object.entries(MOVABLE).flatMap(([verb, states]) => states.map((state) => [state, verb])))
const WORDS = { retry: "Retry", cancel: "Cancel" }

export const flowsOf = (status) => [...new Set([...Object.keys(status.jobs_by_flow), ...Object.keys(status.concurrency)])].sort()

export function Jobs({ status, ask }) {
  const [isOpen, setOpen] = useState(false)
  const flows = flowsOf(status)
  const counted = isKnown(status.counts_age_s)
  const isIdle = (flow) => !Object.values(status.jobs_by_flow[flow] ?? {}).some(Boolean) && !isChanged(status.concurrency[flow])
  const idle = flows.filter(isIdle)
  const line = (flow) => html`<tr key=${flow}>
    <th scope="row" title=${flow}><span class="label">${flow}</span></th>
    <td class="r level"><${Level} flow=${flow} level=${status.concurrency[flow]} ask=${ask} /></td>
    ${JOB_STATES.map(
      ([state, word]) => html`<td class=${`r ${zero(status.jobs_by_flow[flow]?.[state])}`} key=${state} data-word=${word}>
        <${Jump} flow=${flow} state=${state} jobs=${counted ? (status.jobs_by_flow[flow]?.[state] ?? 0) : null} ask=${ask} />
      </td>`,
    )}
  </tr>`
  const none = Object.keys(status.jobs).length === 0
  return html`<section class="panel jobs" aria-labelledby="h-jobs">
    <div class="head">
      <h2 id="h-jobs">Jobs</h2>
      ${none && html`<span class="muted">${counted ? "No jobs yet." : "Not counted yet."}</span>`}
      ${idle.length > 1 &&
      html`<span class="fold">
        <button class="plain muted" id="fold-flows" aria-expanded=${isOpen} aria-controls="idle-flows" onClick=${() => setOpen(!isOpen)}>
          <${Icon} name=${isOpen ? "open" : "shut"} />${idle.length} flows${none ? "" : " without jobs"}
        </button>
      </span>`}
      <button class="small" onClick=${() => ask({ kind: "jobs", verb: "retry", flow: "", state: "FAILED" })}>Retry or cancel…</button>
      <a class="more-link" href="/jobs">All jobs</a>
    </div>
    ${flows.length > 0 &&
    html`<table>
      <thead>
        <tr>
          <th scope="col">Flow</th>
          <th scope="col" class="r" title="Jobs that run at once in each process (as configured)">At once</th>
          ${JOB_STATES.map(([state, word]) => html`<th scope="col" class="r" key=${state} title=${state}>${word}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${flows.filter((flow) => idle.length < 2 || !isIdle(flow)).map(line)}
      </tbody>
      ${idle.length > 1 && isOpen && html`<tbody id="idle-flows">${idle.map(line)}</tbody>`}
    </table>`}
  </section>`
}

const isChanged = (level) => level && level.now !== level.default

function Level({ flow, level, ask }) {
  if (!level) return html`<${Num} value=${UNKNOWN} title="does not run in this process" />`
  return html`<button
    class="plain"
    title=${`${count(level.now)} at once; as configured: ${count(level.default)}. Change it…`}
    aria-label=${`${flow}: ${level.now} at once. Change it…`}
    onClick=${() => ask({ kind: "concurrency", flow })}
  >
    <span class="num dotted">${count(level.now)}</span>${isChanged(level) ? html`<span class="num muted"> (${count(level.default)})</span>` : ""}
    <span class="unit narrow">at once</span>
  </button>`
}

function Jump({ flow, state, jobs, ask }) {
  const verb = VERBS[state]
  if (!jobs || !verb) return html`<${Num} value=${count(jobs)} />`
  const does = `${WORDS[verb]} ${state} jobs of ${flow}…`
  return html`<button class="plain" title=${does} aria-label=${`${count(jobs)}. ${does}`} onClick=${() => ask({ kind: "jobs", verb, flow, state })}>
    <span class="num dotted">${count(jobs)}</span>
  </button>`
}
