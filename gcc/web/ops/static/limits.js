// Every limit: how full it is, who waits, what narrows it, who changed it and why; and the way to change it.

import { html } from "./vendor/htm-preact.module.js"
import { absolute, count, span } from "./format.js"
import { Refused, useLook } from "./look.js"
import { Bar } from "./panels.js"
import { Cell, Icon } from "./parts.js"

const DAY_S = 86_400

export function Limits({ ask }) {
  const { data: limits, refused } = useLook("/api/limits", {}, { everyS: 2 })
  return html`<section class="panel page-wide" id="limits" aria-labelledby="h-limits">
    <div class="head"><h2 id="h-limits">Limits</h2><code title="The same in a terminal">python -m gcc.supervisor limits</code></div>
    <${Refused} refused=${refused} what="The limits" />
    ${limits &&
    html`<table class="rows">
      <thead>
        <tr>
          <th scope="col">Limit</th>
          <th scope="col">Allowed</th>
          <th scope="col">Used now</th>
          <th scope="col" class="r">Waiting</th>
          <th scope="col">State</th>
          <th scope="col"><span class="sr">Change it</span></th>
        </tr>
      </thead>
      <tbody>
        ${limits.map((limit) => html`<${Line} key=${limit.name} limit=${limit} ask=${ask} />`)}
      </tbody>
    </table>`}
  </section>`
}

function Line({ limit, ask }) {
  const { name, of, calls, per_s, used, waiting } = limit
  return html`<tr>
    <th scope="row"><span class="label">${name}</span><small class="muted">${of}</small></th>
    <${Cell} word="Allowed" kind="num">${count(calls)} ${per_s === DAY_S ? "a day" : `in any ${span(per_s)}`}<//>
    <${Cell} word="Used now" kind="num">${count(used)}<${Bar} share=${used / calls} tone="accent" /><//>
    <${Cell} word="Waiting" kind="r num">${waiting > 0 && count(waiting)}<//>
    <${Cell} word="State" kind="wrap grows"><${State} ...${limit} /><//>
    <td class="r act"><button class="small" aria-label=${`Change ${name}…`} onClick=${() => ask({ kind: "limit", limit })}>Change…</button></td>
  </tr>`
}

// The other side's word comes first: it ends by itself, and what a person set holds again then.
function State({ share, why, until, set_by, set_at }) {
  if (share <= 0) return html`<span class="state" title=${`Until ${absolute(until)}`}><${Icon} name="pause" tone="bad" />closed</span> – ${why}`
  if (share < 1) return html`<span class="state" title=${`Until ${absolute(until)}`}><${Icon} name="warn" tone="warn" />${Math.round(share * 100)} % of it</span> – ${why}`
  if (set_by) return html`<span class="state" title=${absolute(set_at)}><${Icon} name="check" tone="accent" />set by ${set_by}</span> – ${why}`
  return html`<span class="state muted"><${Icon} name="check" tone="ok" />as configured</span>`
}
