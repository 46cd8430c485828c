// The outside APIs: how full their limits are, whether they answer, and which credentials may be used.

import { html } from "../vendor/htm-preact.module.js"
import { UNKNOWN, absolute, count, duration, isKnown, many, span } from "../format.js"
import { condition } from "../health.js"
import { Refused, useLook } from "../look.js"
import { Bar } from "../panels.js"
import { Cell, Icon } from "../parts.js"
import { address } from "../route.js"
import { Limits } from "../limits.js"

export function SourcesPage({ status, ask }) {
  const { data: sources, meta, refused } = useLook("/api/sources", {}, { everyS: 2 })
  return html`<section class="panel page-wide lead">
      <div class="head"><h2>Sources</h2><code title="The same in a terminal">python -m gcc.supervisor sources</code></div>
      <${Refused} refused=${refused} what="Limits and credentials" />
      ${meta?.off?.length > 0 && html`<p class="muted" id="off">Off until <code>sources.NAME.enabled = true</code>, see docs/sources.md: ${meta.off.join(", ")}.</p>`}
      ${!sources && !refused && html`<p class="muted">Looking…</p>`}
    </section>
    ${sources?.map(
      (source) => html`<${Source} key=${source.name} ...${source} line=${status.actors.find(({ name }) => name === `sources/${source.name}`)} trouble=${meta.credentials_error} />`,
    )}
    <${Limits} ask=${ask} />`
}

function Source({ name, account, flows, limit, credentials, line, trouble }) {
  const share = limit.used / limit.calls
  return html`<section class="panel source" id=${`source-${name}`} aria-labelledby=${`h-${name}`}>
    <div class="head">
      <h2 id=${`h-${name}`}>${name}</h2>
      <${Answering} line=${line} credentials=${credentials} />
    </div>
    <dl class="facts columns">
      <div>
        <dt>Limit</dt>
        <dd class="num" title="At most so many calls in any such time, of the whole platform">${many(limit.calls, "call")} in any ${span(limit.per_s)}</dd>
      </div>
      <div>
        <dt>Used now</dt>
        <dd class="num">${line ? count(limit.used) : "known where it is asked"}${limit.waiting ? html`, <b>${count(limit.waiting)} wait</b>` : ""}<${Bar} share=${share} tone="accent" /></dd>
      </div>
      <div>
        <dt>Answers</dt>
        <dd class="num">${line ? `${count(line.done)} since the start, ${many(line.failed, "failure")}` : UNKNOWN}</dd>
      </div>
      <div class="whole">
        <dt>Asked by</dt>
        <dd>${flows.map((flow) => html`<a key=${flow} href=${address("/jobs", { flow })}>${flow}</a> `)}</dd>
      </div>
    </dl>
    ${line?.last_error && html`<p class="error-text" title="Last error">${line.last_error}</p>`}
    ${(credentials || trouble) && html`<h3>Credentials ${credentials && html`<span class="muted num">${count(credentials.ready)} of ${count(credentials.total)} ready</span>`}</h3>`}
    <${Refused} refused=${trouble} what="The credentials" />
    ${credentials?.total === 0 && html`<p class="muted">None is known: jobs of this source wait. Set <code>GCC_SOURCES__${name.toUpperCase().replaceAll('-', '_')}__TOKENS</code> and start again, or add one: <code>credentials add ${name} HANDLE${account && ` --account ${account}`} --why WHY</code>, see docs/credentials.md.</p>`}
    ${credentials?.total > 0 &&
    html`<table class="rows">
      <thead>
        <tr>
          <th scope="col">Credential</th>
          <th scope="col">Kind</th>
          <th scope="col">State</th>
          <th scope="col" class="r">Back in</th>
          <th scope="col" class="r">Ends</th>
          <th scope="col" class="r">Used</th>
          <th scope="col">Reason</th>
        </tr>
      </thead>
      <tbody>
        ${credentials.listed.map((one) => html`<${Credential} key=${one.handle} ...${one} />`)}
      </tbody>
    </table>`}
    ${credentials && credentials.total > credentials.listed.length && html`<p class="muted note">and ${count(credentials.total - credentials.listed.length)} more, which are no worse</p>`}
  </section>`
}

// What its breaker says; a source that is not asked in this process has no line.
function Answering({ line, credentials }) {
  if (!line) return html`<span class="muted"><${Icon} name="ring" />not asked by this process</span>`
  if (credentials?.total === 0 && line.breaker !== "open") return html`<span class="state"><${Icon} name="warn" tone="warn" />cannot be asked</span>`
  if (credentials?.ready === 0 && line.breaker !== "open") return html`<span class="state"><${Icon} name="clock" tone="warn" />no credential is ready</span>`
  const [icon, tone, word] = condition(line, false)
  const rest = line.breaker === "open" ? `rests, ${isKnown(line.retry_in_s) && line.retry_in_s > 0 ? `asked again in ${duration(Math.ceil(line.retry_in_s))}` : "asked again with the next job"}` : word === "running" ? "answers" : word
  return html`<span class="state"><${Icon} name=${icon} tone=${tone} />${rest}</span>`
}

const STATES = { ready: ["check", "ok"], rests: ["clock", "warn"], disabled: ["pause", "muted"], "waits for a new token": ["cross", "bad"] }
const WHOSE = { app: "with all of its app", source: "with all of the source" }

function Credential({ handle, kind, app, account, state, rests, back_in_s, reason, buckets, expires_at, data_access_expires_at, uses, used_at, updated_at }) {
  const [icon, tone] = STATES[state] ?? ["unknown", "muted"]
  const whose = [app && `app ${app}`, account && `account ${account}`].filter(Boolean).join(", ")
  return html`<tr title=${`As it is since ${absolute(updated_at)}`}>
    <th scope="row"><span class="label">${handle}</span></th>
    <${Cell} word="Kind">${kind}${whose && html` <span class="muted">${whose}</span>`}<//>
    <${Cell} word="State"><span class="state"><${Icon} name=${icon} tone=${tone} />${state}${WHOSE[rests] ? ` ${WHOSE[rests]}` : ""}</span><//>
    <${Cell} word="Back in" kind="r num">${state === "rests" && duration(Math.ceil(back_in_s))}<//>
    <${Cell} word="Ends" kind="r num">${expires_at && html`<span title=${`Its secret ends ${absolute(expires_at)}`}>${day(expires_at)}</span>`}${expires_at && data_access_expires_at && " "}${data_access_expires_at && html`<span class="muted" title=${`Its owner's consent ends ${absolute(data_access_expires_at)}`}>data ${day(data_access_expires_at)}</span>`}<//>
    <${Cell} word="Used" kind="r num">${uses > 0 && html`<span title=${`Last ${absolute(used_at)}`}>${count(uses)}</span>`}<//>
    <${Cell} word="Reason" kind="grows wrap">${reasons(state, reason, buckets)}<//>
  </tr>`
}

// What stands in its way, and which of its calls rest while the others go on.
function reasons(state, reason, buckets) {
  const resting = buckets.map((rest) => `Calls of ${rest.bucket || "no bucket"} rest for ${duration(Math.ceil(rest.back_in_s))}: ${rest.reason}`)
  const all = state === "ready" || !reason ? resting : [reason, ...resting]
  return all.length > 0 && all.map((text) => html`<div key=${text}>${text}</div>`)
}

const day = (moment) => moment.slice(0, 10)
