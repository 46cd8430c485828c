// What is promised of the models and how it is kept: how old they are by tag, what their tests found, and whether as
// many events came as usual.

import { html, useState } from "../vendor/htm-preact.module.js"
import { act } from "../feed.js"
import { absolute, count, duration, many, span } from "../format.js"
import { modelPath } from "../graph.js"
import { Refused, useLook } from "../look.js"
import { Bar } from "../panels.js"
import { Cell, Elsewhere, Icon, knows } from "../parts.js"
import { address } from "../route.js"
import { Findings } from "./models.js"

const NAMES_MAX = 6
const TEST_S = 600

export function QualityPage({ status }) {
  if (!knows(status))
    return html`<section class="panel page-wide" aria-labelledby="h-promises"><h2 id="h-promises">Quality</h2><${Elsewhere} status=${status} what="model" /></section>`
  return html`<${Quality} />`
}

function Quality() {
  const { data: quality, refused } = useLook("/api/quality", {}, { everyS: 5 })
  return html`<section class="panel page-wide" aria-labelledby="h-promises">
      <div class="head"><h2 id="h-promises">Freshness</h2><span class="muted">what each tag promises, and how old its tables are</span></div>
      <${Refused} refused=${refused} what="What is promised" />
      ${!quality && !refused && html`<p class="muted">Looking…</p>`}
      ${quality && html`<${Promises} promises=${quality.promises} />`}
    </section>
    ${quality && html`<${Tests} ...${quality} />`}
    <${Volumes} />`
}

const Promises = ({ promises }) =>
  html`<table class="rows promises">
    <thead>
      <tr>
        <th scope="col">Tag</th>
        <th scope="col">State</th>
        <th scope="col" class="r" title="How long ago the last good build of a table may have begun">Promised</th>
        <th scope="col">Oldest</th>
        <th scope="col" class="r">Models</th>
        <th scope="col" class="r">Tests</th>
        <th scope="col">Late</th>
      </tr>
    </thead>
    <tbody>
      ${promises.map((promise) => html`<${PromiseLine} key=${promise.tag} ...${promise} />`)}
    </tbody>
  </table>`

function PromiseLine({ tag, age_s_max, models, oldest_s, late, unbuilt, looked, failed, warned }) {
  const [icon, tone, word] = failed ? ["cross", "bad", "wrong"] : late.length ? ["clock", "warn", "late"] : models ? ["check", "ok", "kept"] : ["ring", "muted", "no models"]
  return html`<tr>
    <th scope="row"><a class="label" href=${address("/models", { tag })}>${tag}</a></th>
    <${Cell} word="State"><span class="state"><${Icon} name=${icon} tone=${tone} />${word}</span><//>
    <${Cell} word="Promised" kind="r num">${span(age_s_max)}<//>
    <${Cell} word="Oldest" kind="num">${oldest_s !== null && html`${duration(Math.floor(oldest_s))}<${Bar} share=${Math.min(1, oldest_s / age_s_max)} tone=${oldest_s > age_s_max ? "warn" : "accent"} />`}<//>
    <${Cell} word="Models" kind="r num">${count(models)}<//>
    <${Cell} word="Tests" kind="r num">${looked > 0 && html`${count(looked)}${failed ? html`, <b class="bad">${count(failed)} failed</b>` : ""}${warned ? html`, ${many(warned, "warning")}` : ""}`}<//>
    <${Cell} word="Late" kind="wrap grows">${(late.length > 0 || unbuilt.length > 0) && html`<${Names} names=${late} />${unbuilt.length > 0 && html`<span class="muted">${count(unbuilt.length)} never built${late.length ? "" : " yet"}</span>`}`}<//>
  </tr>`
}

const Names = ({ names }) =>
  html`${names.slice(0, NAMES_MAX).map((name) => html`<span class="tag" key=${name}><a href=${modelPath(name)}>${name}</a></span> `)}${names.length > NAMES_MAX && html`<span class="tag muted">and ${count(names.length - NAMES_MAX)} more</span>`}${" "}`

function Tests({ tests, tested_at, wrong }) {
  const [isRunning, setRunning] = useState(false)
  const [refusal, setRefusal] = useState(null)
  const run = async () => {
    setRunning(true)
    const { refused } = await act("/api/models/test", { names: [] }, { forS: TEST_S })
    setRefusal(refused ?? null)
    setRunning(false)
    dispatchEvent(new Event("acted"))
  }
  return html`<section class="panel page-wide" aria-labelledby="h-tests">
    <div class="head">
      <h2 id="h-tests">Tests</h2>
      <span class="muted" id="tests" title=${tested_at ? `The oldest look was ${absolute(tested_at)}` : ""}>${tests.looked ? `${count(tests.looked)} looked at last: ${count(tests.failed)} failed, ${many(tests.warned, "warning")}` : "Nothing was looked at yet."}</span>
      <code title="The same in a terminal">python -m gcc.supervisor models test</code>
      <button class="small" id="test" disabled=${isRunning} onClick=${run}>${isRunning ? "Testing…" : "Test all now"}</button>
    </div>
    <${Refused} refused=${refusal} what="What tests find" />
    ${wrong.length > 0 && html`<${Findings} findings=${wrong} withModel />`}
    ${wrong.length < tests.failed + tests.warned && html`<p class="muted note">and ${count(tests.failed + tests.warned - wrong.length)} more, which are no worse</p>`}
  </section>`
}

function Volumes() {
  const { data: volumes, refused } = useLook("/api/volumes", {}, { everyS: 60 })
  const tells = ({ events, low }) => events > 0 || low !== null
  const [shown, silent] = [(volumes ?? []).filter(tells), (volumes ?? []).filter((volume) => !tells(volume))]
  return html`<section class="panel page-wide" aria-labelledby="h-volumes">
    <div class="head">
      <h2 id="h-volumes">Volume</h2>
      <span class="muted">${volumes?.length ? `events that arrived in the hour from ${absolute(volumes[0].hour)}; usual is what came in that hour of the 28 days before` : ""}</span>
    </div>
    <${Refused} refused=${refused} what="How many events came" />
    ${!volumes && !refused && html`<p class="muted">Counting…</p>`}
    ${shown.length > 0 &&
    html`<table class="rows volumes">
      <thead>
        <tr>
          <th scope="col">Events</th>
          <th scope="col">State</th>
          <th scope="col" class="r">Came</th>
          <th scope="col" class="r">Usual</th>
          <th scope="col"></th>
        </tr>
      </thead>
      <tbody>
        ${shown.sort((a, b) => a.ok - b.ok || b.events - a.events).map((volume) => html`<${VolumeLine} key=${volume.table} ...${volume} />`)}
      </tbody>
    </table>`}
    ${silent.length > 0 && html`<p class="muted note" id="silent">None came in that hour, and nothing is usual of them yet: ${silent.map(({ table }) => table).join(", ")}.</p>`}
  </section>`
}

function VolumeLine({ table, events, low, high, ok }) {
  const isKnown = low !== null
  const [icon, tone, word] = !isKnown ? ["ring", "muted", "not known for a week yet"] : ok ? ["check", "ok", "usual"] : ["warn", "warn", events < low ? "too few" : "too many"]
  return html`<tr>
    <th scope="row"><span class="label">${table}</span></th>
    <${Cell} word="State"><span class=${isKnown ? "state" : "state muted"}><${Icon} name=${icon} tone=${tone} />${word}</span><//>
    <${Cell} word="Came" kind="r num">${count(events)}<//>
    <${Cell} word="Usual" kind="r num">${isKnown && `${count(low)} to ${count(high)}`}<//>
    <td class="grows"></td>
  </tr>`
}
