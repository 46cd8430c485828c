// The tables of PostgreSQL that are replaced by marts: when that was last, what guards them, and what one has refused,
// which waits until a person accepts it.

import { html } from "../vendor/htm-preact.module.js"
import { absolute, count, many } from "../format.js"
import { Refused, useLook } from "../look.js"
import { Ago, Cell, Elsewhere, Icon, In } from "../parts.js"
import { RUN_STATES, didWhat } from "../runs.js"

export function SyncsPage({ status, ask }) {
  const { data: tables, refused } = useLook("/api/sync", {}, { everyS: 3 })
  const { data: schedules } = useLook("/api/schedules", {}, { everyS: 3 })
  const byName = new Map((schedules ?? []).map((schedule) => [schedule.name, schedule]))
  const waiting = (tables ?? []).filter((table) => table.refused && !table.accepted_by).length
  return html`<section class="panel page-wide syncs" aria-labelledby="h-syncs">
    <div class="head">
      <h2 id="h-syncs">Syncs</h2>
      <code title="The same in a terminal">python -m gcc.supervisor sync</code>
    </div>
    <${Refused} refused=${refused} what="The synced tables" />
    ${!tables && !refused && html`<p class="muted">Looking…</p>`}
    ${tables?.length === 0 && html`<${Elsewhere} status=${status} what="synced table" />`}
    ${waiting > 0 && html`<p class="notice" id="waiting"><${Icon} name="warn" tone="warn" />${many(waiting, "table")} ${waiting === 1 ? "waits" : "wait"} for a person: a guard has refused what would replace ${waiting === 1 ? "it" : "them"}. What stands is still served.</p>`}
    ${tables?.length > 0 &&
    html`<table class="rows">
      <thead>
        <tr>
          <th scope="col">Table</th>
          <th scope="col">State</th>
          <th scope="col" class="r">Rows</th>
          <th scope="col">Last swap</th>
          <th scope="col">Next run</th>
          <th scope="col">Last run</th>
          <th scope="col">Guards</th>
          <th scope="col"><span class="sr">Run or accept</span></th>
        </tr>
      </thead>
      <tbody>
        ${tables.map((table) => html`<${Line} key=${table.table} table=${table} schedule=${byName.get(table.schedule)} now=${Date.parse(status.at)} ask=${ask} />`)}
      </tbody>
    </table>`}
  </section>`
}

function stateOf({ rows, refused, accepted_by }, schedule) {
  if (schedule?.running) return ["play", "accent", "running"]
  if (refused && accepted_by) return ["clock", "accent", "accepted, waits for its run"]
  if (refused) return ["warn", "warn", "refused"]
  return rows === null ? ["ring", "muted", "never swapped"] : ["check", "ok", "good"]
}

function Line({ table, schedule, now, ask }) {
  const { table: name, mart, rows, as_of, built_at, refused, refused_at, accepted_by } = table
  const [icon, tone, word] = stateOf(table, schedule)
  return html`<tr>
    <th scope="row"><span class="label">${name}</span><small class="muted">from <a href=${`/models/${encodeURIComponent(mart)}`}>${mart}</a></small></th>
    <${Cell} word="State" kind="wrap"><span class="state"><${Icon} name=${icon} tone=${tone} />${word}</span><//>
    <${Cell} word="Rows" kind="r num">${count(rows)}<//>
    <${Cell} word="Last swap" title=${built_at ? `The build that it shows began ${absolute(built_at)}` : ""}>${as_of && html`<${Ago} at=${as_of} now=${now} word=" ago" />`}<//>
    <${Cell} word="Next run">${schedule?.next_run && html`<${In} at=${schedule.next_run} now=${now} />`}<//>
    <${Cell} word="Last run" kind="wrap">
      ${refused && html`<div class="error-text" title=${absolute(refused_at)}>${refused}</div>`}
      ${accepted_by && html`<div>Accepted by ${accepted_by}.</div>`}
      ${!refused && schedule?.last_run && html`<${LastRun} ...${schedule.last_run} />`}
    <//>
    <${Cell} word="Guards" kind="wrap muted guards">${guards(table)}<//>
    <td class="r act">
      ${refused && !accepted_by
        ? html`<button class="small" aria-label=${`Accept what ${name} would get…`} onClick=${() => ask({ kind: "accept", table: name, refused })}>Accept…</button>`
        : html`<button class="small" aria-label=${`Sync ${name} now…`} onClick=${() => ask({ kind: "sync", table: name, mart })}>Sync now…</button>`}
    </td>
  </tr>`
}

function LastRun({ status, detail }) {
  const [icon, tone, word] = RUN_STATES[status] ?? ["unknown", "muted", status]
  return html`<span class="state"><${Icon} name=${icon} tone=${tone} />${word}</span> ${detail?.error ? html`<span class="error-text">${String(detail.error)}</span>` : html`<span class="muted">${didWhat(detail)}</span>`}`
}

const share = (part) => `${Math.round(part * 100)} %`

const guards = ({ rows_kept_min, nulls_max }) =>
  [`at least ${share(rows_kept_min)} of the rows`, ...Object.entries(nulls_max).map(([column, most]) => (most ? `${column} unknown in at most ${share(most)}` : `${column} always known`))].join(", ")
