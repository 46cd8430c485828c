// The models: all of them as a graph by layer and tag, or as a list; one at /models/NAME with what it reads, what reads
// it, its tests, where its columns come from, and its SQL.

import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.module.js"
import { absolute, count, duration, many, span } from "../format.js"
import { act } from "../feed.js"
import { Choice, Copyable, Typed } from "../form.js"
import { Graph, Node, flaws, freshness, layout, modelPath, stateOf } from "../graph.js"
import { Refused, useLook } from "../look.js"
import { Cell, Elsewhere, Icon, knows } from "../parts.js"
import { address, decoded, go } from "../route.js"

const LOOK_EVERY_S = 5
const LINEAGE_S = 65 // who asks first after a change waits until it is made
const LAYER = "staging"

// Which models are shown: a word for people, and which ones it means.
const SHOWN = [
  ["", "any state", () => true],
  ["good", "good", ({ state }) => state === "good"],
  ["building", "being built", ({ state }) => state === "building"],
  ["failed", "failed", ({ state }) => state === "failed"],
  ["wrong", "wrong by a test", ({ tests }) => tests?.failed > 0],
  ["late", "late", ({ late }) => late],
  ["warned", "with warnings", ({ tests }) => tests?.warned > 0],
  ["outdated", "outdated", ({ state }) => state === "outdated"],
  ["unbuilt", "never built", ({ state }) => state === "unbuilt"],
]

export function ModelsPage({ status, ask, rest, query }) {
  if (!knows(status))
    return html`<section class="panel page-wide" aria-labelledby="h-models"><h2 id="h-models">Models</h2><${Elsewhere} status=${status} what="model" /></section>`
  return rest
    ? html`<${OneModel} key=${rest} name=${decoded(rest)} ask=${ask} query=${query} now=${Date.parse(status.at)} />`
    : html`<${All} ask=${ask} query=${query} now=${Date.parse(status.at)} />`
}

// ---- all

function All({ ask, query, now }) {
  const { data: models, refused } = useLook("/api/models", {}, { everyS: LOOK_EVERY_S })
  const { text = "", tag = "", show = "", view = "" } = query
  const set = (changes) => go(address("/models", { text, tag, show, view, ...changes }), { replace: true })
  const isShown = SHOWN.find(([key]) => key === show)?.[2] ?? SHOWN[0][2]
  const found = (models ?? []).filter((model) => isShown(model) && (!tag || model.tags.includes(tag)) && model.name.toLowerCase().includes(text.toLowerCase()))
  const isList = view ? view === "list" : matchMedia("(max-width: 779px)").matches
  const tags = [...new Set((models ?? []).flatMap((model) => model.tags))]
  return html`<section class="panel page-wide models" aria-labelledby="h-models">
    <div class="head">
      <h2 id="h-models">Models</h2>
      <code title="The same in a terminal">python -m gcc.supervisor models</code>
      ${models && html`<button class="small" id="run" onClick=${() => ask({ kind: "model", select: tag ? [`tag:${tag}`] : [] })}>${tag ? `Run tag ${tag}…` : "Run all…"}</button>`}
    </div>
    <${Refused} refused=${refused} what="The models" />
    ${!models && !refused && html`<p class="muted">Looking…</p>`}
    ${models &&
    html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
        <${Typed} id="m-text" label="Name" value=${text} placeholder="any" set=${(value) => set({ text: value })} />
        <${Choice} id="m-tag" label="Tag: the schedule that builds it" value=${tag} set=${(value) => set({ tag: value })}
          options=${[["", "all tags"], ...tags.map((one) => [one, `${one} (${count(models.filter((model) => model.tags.includes(one)).length)})`])]} />
        <${Choice} id="m-show" label="State" value=${show} set=${(value) => set({ show: value })}
          options=${SHOWN.map(([key, word, is]) => [key, `${word} (${count(models.filter(is).length)})`])} />
        <${Choice} id="m-view" label="As" value=${isList ? "list" : "graph"} set=${(value) => set({ view: value })} options=${[["graph", "a graph"], ["list", "a list"]]} />
      </form>
      <p class="muted note" id="found" aria-live="polite">${sum(models, found)}</p>
      ${isList ? html`<${List} models=${found} now=${now} />` : html`<${Groups} models=${found} all=${models} now=${now} />`}`}
  </section>`
}

function sum(models, found) {
  const n = (key) => models.filter(SHOWN.find(([one]) => one === key)[2]).length
  const parts = ["building", "failed", "wrong", "late", "outdated", "unbuilt"].map((key) => [n(key), SHOWN.find(([one]) => one === key)[1]]).filter(([of]) => of > 0)
  const shown = found.length === models.length ? many(models.length, "model") : `${count(found.length)} of ${many(models.length, "model")}`
  return `${shown}; of all: ${[[n("good"), "good"], ...parts].map(([of, word]) => `${count(of)} ${word}`).join(", ")}.`
}

// Staging first, which reads events and replicas alone; then the marts of each tag, in the order in which tags appear.
function grouped(models) {
  const groups = new Map()
  for (const model of models) {
    const key = model.layer === LAYER ? LAYER : (model.tags[0] ?? "without a tag")
    groups.set(key, [...(groups.get(key) ?? []), model])
  }
  const staging = groups.get(LAYER)
  groups.delete(LAYER)
  return [...(staging ? [[LAYER, staging]] : []), ...[...groups].sort(([, a], [, b]) => b.length - a.length)]
}

function Groups({ models, all, now }) {
  const [pointed, point] = useState(null)
  if (models.length === 0) return html`<p class="muted">None of them.</p>`
  const lit = pointed && near(all, pointed)
  return html`<p class="muted note">${pointed ? html`<b>${pointed}</b> and what it reads and is read by.` : "Lines lead from what is read to what reads it, within a tag. Point at a model to see all that it reads and is read by; choose it for its neighbourhood."}</p>
    <div class="scroll" tabindex="-1">
      <div class="groups">
        ${grouped(models).map(
          ([key, members]) => html`<section class="group" key=${key} style=${{ gridColumn: key === LAYER ? "1 / -1" : `span ${Math.min(COLUMNS, layout(members).columns)}` }} aria-label=${key}>
            <h3>${key === LAYER ? key : html`<a href=${address("/models", { tag: key })}>${key}</a>`} <span class="muted">${key === LAYER ? `${many(members.length, "model")}: names and casts of events and replicas` : many(members.length, "model")}</span></h3>
            ${key === LAYER
              ? html`<div class="tiles">${members.map((model) => html`<${Node} key=${model.name} model=${model} now=${now} point=${point} isDim=${lit && !lit.has(model.name)} />`)}</div>`
              : html`<${Graph} models=${members} now=${now} lit=${lit} point=${point} traced=${pointed ?? ""} />`}
          </section>`,
        )}
      </div>
    </div>`
}

const COLUMNS = 6 // of the grid in which groups lie

// A model, its parents and its children.
function near(models, name) {
  const model = models.find((one) => one.name === name)
  return new Set([name, ...(model?.parents ?? []), ...models.filter(({ parents }) => parents.includes(name)).map((child) => child.name)])
}

const List = ({ models, now }) =>
  models.length === 0
    ? html`<p class="muted">None of them.</p>`
    : html`<table class="rows">
        <thead>
          <tr>
            <th scope="col">Model</th>
            <th scope="col">State</th>
            <th scope="col">Tag</th>
            <th scope="col">Kind</th>
            <th scope="col" class="r" title="Since its last good build began; of a view, that of what it reads">Age</th>
            <th scope="col" class="r" title="How old its tag lets it be">At most</th>
            <th scope="col" class="r">Took</th>
            <th scope="col" class="r">Rows</th>
            <th scope="col" class="r" title="Looked at last">Tests</th>
            <th scope="col">What is wrong</th>
          </tr>
        </thead>
        <tbody>
          ${[...models].sort(byNeed).map((model) => html`<${Line} key=${model.name} model=${model} now=${now} />`)}
        </tbody>
      </table>`

// What is wrong comes first, then by name.
const need = (model) => [stateOf(model), ...flaws(model)].reduce((worst, [, tone]) => Math.min(worst, { bad: 0, warn: 1 }[tone] ?? 2), 2)
const byNeed = (a, b) => need(a) - need(b) || a.name.localeCompare(b.name)

function Line({ model, now }) {
  const [icon, tone, means] = stateOf(model)
  const wrong = flaws(model)
  return html`<tr>
    <th scope="row"><a class="label" href=${modelPath(model.name)}>${model.name}</a></th>
    <${Cell} word="State" title=${means}><span class="state"><${Icon} name=${icon} tone=${tone} />${model.state}</span><//>
    <${Cell} word="Tag">${model.tags.join(", ")}<//>
    <${Cell} word="Kind" kind="muted">${model.strategy ?? model.materialized}<//>
    <${Cell} word="Age" kind="r num">${freshness(model, now)}<//>
    <${Cell} word="At most" kind="r num">${model.age_s_max && span(model.age_s_max)}<//>
    <${Cell} word="Took" kind="r num">${model.materialized !== "view" && duration(model.seconds)}<//>
    <${Cell} word="Rows" kind="r num">${model.materialized !== "view" && count(model.rows)}<//>
    <${Cell} word="Tests" kind="r num">${model.tests && count(model.tests.looked)}<//>
    <${Cell} word="Wrong" kind="wrap grows">${(wrong.length > 0 || model.error) && html`${wrong.map(([mark, kind, words]) => html`<span class="tag" key=${words}><${Icon} name=${mark} tone=${kind} />${words}</span>`)}${model.error && html`<span class="error-text">${model.error}</span>`}`}<//>
  </tr>`
}

// ---- one

function OneModel({ name, ask, query, now }) {
  const { data: model, refused } = useLook(`/api/models/${encodeURIComponent(name)}`, {}, { everyS: LOOK_EVERY_S })
  const { data: all } = useLook("/api/models", {}, { everyS: LOOK_EVERY_S })
  if (!model)
    return html`<section class="panel page-wide">
      <p class="crumbs"><a href="/models">All models</a></p>
      ${refused ? html`<${Refused} refused=${refused} what="This model" />` : html`<p class="muted">Looking…</p>`}
    </section>`
  const [icon, tone, means] = stateOf(model)
  return html`<section class="panel page-wide one" aria-labelledby="h-model">
      <p class="crumbs"><a href="/models">All models</a>${model.tags.map((tag) => html` <span class="muted">/</span> <a key=${tag} href=${address("/models", { tag })}>${tag}</a>`)}</p>
      <div class="head">
        <h2 id="h-model">${model.name}</h2>
        <span class="state" title=${means}><${Icon} name=${icon} tone=${tone} />${model.state}</span>
        ${flaws(model).map(([mark, kind, words]) => html`<span class="state" key=${words}><${Icon} name=${mark} tone=${kind} />${words}</span>`)}
        <button class="small" id="run" onClick=${() => ask({ kind: "model", select: [model.name], strategy: model.strategy })}>Run…</button>
      </div>
      <${Refused} refused=${refused} what="What is new of it" />
      <p class="prose">${prose(model.description)}</p>
      ${model.error && html`<p class="error-text" id="error" title="Error of its last build">${model.error}</p>`}
      <${Facts} model=${model} now=${now} />
      <${Copyable} text=${`python -m gcc.supervisor models show ${model.name}`} />
    </section>
    ${all && html`<${Neighbourhood} name=${model.name} all=${all} now=${now} query=${query} />`}
    <${Tests} model=${model} />
    <${Columns} name=${model.name} query=${query} />
    <section class="panel page-wide" aria-labelledby="h-sql">
      <div class="head"><h2 id="h-sql">SQL</h2><span class="muted">of a whole build</span></div>
      <${Copyable} text=${model.sql.replace(/\n(\s*\n)+/g, "\n")} block />
    </section>`
}

function Facts({ model, now }) {
  const isView = model.materialized === "view"
  const links = (names, path) => names.length > 0 && names.map((each) => html`<a key=${each} href=${path(each)}>${each}</a> `)
  const facts = [
    ["Kind", html`${model.materialized}${model.strategy ? `, by ${model.strategy}` : ""}${model.partition_by ? html` of <span class="mono">${model.partition_by}</span>` : ""}`],
    ["A row a", model.unique_key.length > 0 && model.unique_key.join(", ")],
    ["Age", model.fresh_at && html`${freshness(model, now)}${model.age_s_max ? html` <span class="muted">of at most ${span(model.age_s_max)}</span>` : ""}`],
    ["Last good build took", !isView && model.seconds !== null && html`<span title=${`Of it ${Math.round(model.overhead_s * 1000)} ms beside its query`}>${duration(model.seconds)}</span>`],
    ["Rows", !isView && model.rows !== null && count(model.rows)],
    ["Peak memory", model.peak_bytes > 0 && `${count(model.peak_bytes / 2 ** 20)} MiB`],
    ["Synced as", links(model.synced, () => "/syncs")],
    ["Reads", links(model.parents, modelPath), true],
    ["Is read by", links(model.children, modelPath), true],
  ]
  return html`<dl class="facts columns">${facts.filter(([, value]) => value).map(([word, value, isWhole]) => html`<div key=${word} class=${isWhole ? "whole" : ""}><dt>${word}</dt><dd>${value}</dd></div>`)}</dl>`
}

const STEPS = [
  ["1", "1 step"],
  ["2", "2 steps"],
  ["all", "all that it comes from and leads to"],
]

function Neighbourhood({ name, all, now, query }) {
  const steps = STEPS.some(([key]) => key === query.steps) ? query.steps : "1"
  const set = (value) => go(address(modelPath(name), { ...query, steps: value }), { replace: true })
  const models = around(all, name, steps === "all" ? Infinity : Number(steps))
  const box = useRef(null)
  useLayoutEffect(() => {
    const node = box.current.querySelector("[aria-current]")
    if (node) box.current.scrollLeft = node.offsetLeft - (box.current.clientWidth - node.offsetWidth) / 2
  }, [steps])
  return html`<section class="panel page-wide" aria-labelledby="h-near">
    <div class="head">
      <h2 id="h-near">Neighbourhood</h2>
      <span class="muted">${count(models.length - 1)} others; what it reads is on the left</span>
      <div class="inline"><${Choice} id="m-steps" label="How far" value=${steps} set=${set} options=${STEPS} /></div>
    </div>
    <div class="scroll near" tabindex="-1" ref=${box}><${Graph} models=${models} now=${now} chosen=${name} /></div>
  </section>`
}

// The model and what is at most `steps` above or below it, parents first.
function around(models, name, steps) {
  const byName = new Map(models.map((model) => [model.name, model]))
  const children = new Map(models.map((model) => [model.name, []]))
  for (const model of models) for (const parent of model.parents) children.get(parent)?.push(model.name)
  const kept = new Set([name])
  for (const next of [(one) => byName.get(one)?.parents ?? [], (one) => children.get(one) ?? []]) {
    let edge = [name]
    for (let step = 0; step < steps && edge.length > 0; step += 1) {
      edge = [...new Set(edge.flatMap(next))].filter((one) => !kept.has(one))
      for (const one of edge) kept.add(one)
    }
  }
  return models.filter((model) => kept.has(model.name))
}

function Tests({ model }) {
  const [isRunning, setRunning] = useState(false)
  const [refusal, setRefusal] = useState(null)
  const [isOpen, setOpen] = useState(false)
  const run = async () => {
    setRunning(true)
    const { refused } = await act("/api/models/test", { names: [model.name] })
    setRefusal(refused ?? null)
    setRunning(false)
    dispatchEvent(new Event("acted"))
  }
  const wrong = model.findings.filter((finding) => !finding.ok)
  const shown = isOpen ? model.findings : wrong
  return html`<section class="panel page-wide" aria-labelledby="h-tests">
    <div class="head">
      <h2 id="h-tests">Tests</h2>
      <span class="muted">${model.findings.length ? `${many(model.findings.length, "rule")} looked at last, ${wrong.length ? count(wrong.length) : "none"} with something to tell` : "It was not looked at yet."}</span>
      ${model.findings.length > wrong.length && html`<button class="plain dotted muted" id="all-tests" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>${isOpen ? "Only those" : "All"}</button>`}
      <button class="small" id="test" disabled=${isRunning} onClick=${run}>${isRunning ? "Testing…" : "Test now"}</button>
    </div>
    <${Refused} refused=${refusal} what="What its tests find" />
    ${shown.length > 0 && html`<${Findings} findings=${shown} />`}
  </section>`
}

export const Findings = ({ findings, withModel }) =>
  html`<table class="rows findings">
    <thead>
      <tr>
        ${withModel && html`<th scope="col">Model</th>`}
        <th scope="col">Rule</th>
        <th scope="col">Column</th>
        <th scope="col">State</th>
        <th scope="col" class="r">Rows</th>
        <th scope="col">Such as</th>
        <th scope="col" class="r">Looked at</th>
      </tr>
    </thead>
    <tbody>
      ${findings.map((finding) => html`<${FindingLine} key=${`${finding.model} ${finding.test} ${finding.column}`} ...${finding} withModel=${withModel} />`)}
    </tbody>
  </table>`

function FindingLine({ model, test, column, severity, found, said, ok, looked_at, withModel }) {
  const [icon, tone, word] = ok ? ["check", "ok", "good"] : severity === "error" ? ["cross", "bad", "failed"] : ["warn", "warn", "warning"]
  return html`<tr>
    ${withModel && html`<th scope="row"><a class="label" href=${modelPath(model)}>${model}</a></th>`}
    <${Cell} word="Rule">${test.replaceAll("_", " ")}<//>
    <${Cell} word="Column" kind="mono">${column}<//>
    <${Cell} word="State"><span class="state"><${Icon} name=${icon} tone=${tone} />${word}</span><//>
    <${Cell} word="Rows" kind="r num">${found > 0 && count(found)}<//>
    <${Cell} word="Such as" kind="grows wrap mono">${said}<//>
    <${Cell} word="Looked at" kind="r num"><time datetime=${looked_at}>${absolute(looked_at)}</time><//>
  </tr>`
}

// What stands between backticks as code.
const prose = (text) => text.split("`").map((part, i) => (i % 2 ? html`<code>${part}</code>` : part))

// ---- where columns come from

function Columns({ name, query }) {
  const { data: rows, refused } = useLook(`/api/models/${encodeURIComponent(name)}/lineage`, { depth: 1 }, { everyS: 30, forS: LINEAGE_S })
  const columns = new Map()
  for (const row of rows ?? []) if (row.column !== "*") columns.set(row.column, [...(columns.get(row.column) ?? []), row])
  const { column = "" } = query
  const set = (chosen) => go(address(modelPath(name), { ...query, column: chosen }), { replace: true })
  return html`<section class="panel page-wide" aria-labelledby="h-columns">
    <div class="head">
      <h2 id="h-columns">Columns</h2>
      <span class="muted">${rows ? `${count(columns.size)}, with what each is made of` : refused ? "" : "Looking…"}</span>
      <code title="The same in a terminal">python -m gcc.supervisor models lineage ${name}${column ? `.${column}` : ""}</code>
    </div>
    <${Refused} refused=${refused} what="Where its columns come from" />
    ${columns.size > 0 &&
    html`<table class="rows lineage">
      <thead>
        <tr>
          <th scope="col">Column</th>
          <th scope="col">Made of</th>
        </tr>
      </thead>
      <tbody>
        ${[...columns].map(
          ([each, origins]) => html`<tr key=${each} id=${`column-${each}`}>
            <th scope="row"><button class="plain mono" aria-expanded=${each === column} title="Down to events and replicas" onClick=${() => set(each === column ? "" : each)}><${Icon} name=${each === column ? "open" : "shut"} /> ${each}</button></th>
            <${Cell} word="Made of" kind="wrap grows">
              ${each === column ? html`<${Origins} name=${name} column=${column} />` : origins.map((origin) => html`<span class="tag" key=${`${origin.parent}.${origin.parent_column}`}><${Origin} ...${origin} /></span>`)}
            <//>
          </tr>`,
        )}
      </tbody>
    </table>`}
  </section>`
}

// The whole way of a column, down to events and replicas.
function Origins({ name, column }) {
  const { data: rows, refused } = useLook(`/api/models/${encodeURIComponent(name)}/lineage`, { column }, { everyS: 60, forS: LINEAGE_S })
  if (!rows) return refused ? html`<${Refused} refused=${refused} what="Where it comes from" />` : html`<span class="muted">Looking…</span>`
  const above = new Map()
  for (const row of rows) {
    const key = `dbt.${row.model}.${row.column}`
    above.set(key, [...(above.get(key) ?? []), row])
  }
  const told = new Set() // what comes by two ways is followed once
  const tree = (key) => {
    if (told.has(key) || !above.has(key)) return above.has(key) ? html` <span class="muted">as above</span>` : ""
    told.add(key)
    return html`<ul class="tree">${above.get(key).map((row) => html`<li key=${`${row.parent}.${row.parent_column}`}><${Origin} ...${row} />${tree(`${row.parent}.${row.parent_column}`)}</li>`)}</ul>`
  }
  return html`<div id="origins">${tree(`dbt.${name}.${column}`)}</div>`
}

const Origin = ({ parent, parent_column }) => {
  if (!parent) return html`<span class="muted">made here</span>`
  const what = parent_column === "*" ? html` <span class="muted">whole rows</span>` : html`<span class="mono">.${parent_column}</span>`
  const [, model] = parent.match(/^dbt\.(.*)$/) ?? []
  return model
    ? html`<a class="mono" href=${modelPath(model)}>${model}</a>${what}`
    : html`<span class="mono" title="An event table or a replica: it is made of nothing else here"><${Icon} name="dot" tone="accent" /> ${parent}</span>${what}`
}
