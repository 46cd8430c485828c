// Which tables of PostgreSQL ClickHouse follows, and how far behind each is.

import { html } from "../vendor/htm-preact.module.js"
import { count, duration } from "../format.js"
import { Cell, Icon } from "../parts.js"

const LATE_S = 60

function stateOf({ lag_s, error }) {
  if (error) return ["cross", "bad", "held up"]
  if (lag_s === null) return ["clock", "muted", "reads all"]
  return lag_s > LATE_S ? ["warn", "warn", "behind"] : ["check", "ok", "follows"]
}

export function ReplicasPage({ status }) {
  return html`<section class="panel page-wide" aria-labelledby="h-replicas">
    <div class="head">
      <h2 id="h-replicas">Replicas</h2>
      <code title="The same in a terminal">python -m gcc.supervisor status</code>
    </div>
    ${status.replicas.length === 0
      ? html`<p class="muted">This process follows no table: another one leads, or has the role analytics.</p>`
      : html`<table class="rows">
          <thead>
            <tr>
              <th scope="col">Table</th>
              <th scope="col">State</th>
              <th scope="col" class="r">Lag</th>
              <th scope="col" class="r">Rows sent</th>
              <th scope="col" class="r">Refused</th>
            </tr>
          </thead>
          <tbody>
            ${status.replicas.map((replica) => html`<${Line} key=${replica.name} ...${replica} />`)}
          </tbody>
        </table>`}
  </section>`
}

function Line({ name, lag_s, rows, refused, error }) {
  const [icon, tone, word] = stateOf({ lag_s, error })
  return html`<tr>
    <th scope="row"><span class="label">${name}</span></th>
    <${Cell} word="State" kind="wrap grows"><span class="state"><${Icon} name=${icon} tone=${tone} />${word}</span>${error ? html` <span class="error-text">${error}</span>` : ""}<//>
    <${Cell} word="Lag" kind="r num" title="How old the oldest change may be that is not there yet">${duration(lag_s)}<//>
    <${Cell} word="Rows sent" kind="r num">${count(rows)}<//>
    <${Cell} word="Refused" kind="r num">${count(refused)}<//>
  </tr>`
}
