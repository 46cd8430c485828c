// All at once: is it well, what is slow, what is stuck.

import { html } from "../vendor/htm-preact.module.js"
import { Actors } from "../actors.js"
import { Chart } from "../charts.js"
import { Jobs } from "../jobs.js"
import { Letters } from "../letters.js"
import { ActionLog, Errors, Flows, Numbers, Progress } from "../panels.js"

export function Overview({ status, ask }) {
  const nowS = Math.floor(Date.parse(status.at) / 1000)
  return html`<div class="panel summary">
      <${Numbers} status=${status} />
      <div class="context"><${Progress} status=${status} /><${Links} urls=${status.urls} /></div>
    </div>
    <${Actors} status=${status} ask=${ask} />
    <div class="side">
      <section class="panel charts" aria-label="Charts of the last 15 minutes">
        <${Chart} title="Events stored" unit="/s" color="--accent" nowS=${nowS} points=${status.series.events_per_s}
          hint="Mean of the last 10 seconds; a gap means that nothing is known" />
        <${Chart} title="Time of one insert" unit="ms" color="--second" nowS=${nowS} points=${status.series.flush_ms}
          hint="Mean of the inserts of the last 10 seconds; a gap means that there were none" />
      </section>
      <${Flows} status=${status} />
      <${Jobs} status=${status} ask=${ask} />
      <${Letters} status=${status} ask=${ask} />
      <${Errors} status=${status} />
    </div>
    <${ActionLog} status=${status} />`
}

const LINKS = [
  ["docs", "API docs"],
  ["world", "World"],
]

const Links = ({ urls }) =>
  html`<nav class="links" aria-label="Other ports">
    ${LINKS.filter(([key]) => urls[key]).map(([key, word]) => html`<a key=${key} href=${urls[key]} rel="noreferrer">${word}</a>`)}
    <code title="The same in a terminal">python -m gcc.supervisor status --watch</code>
  </nav>`
