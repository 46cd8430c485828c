// Models as graphs: columns from left to right, a line from what is read to what reads it. A node is a link to its model.

import { html } from "./vendor/htm-preact.module.js"
import { absolute, age, compact, duration, isKnown, many } from "./format.js"
import { Icon } from "./parts.js"

const ROW_PX = 46
const NODE = 0.9 // of a column's width; the rest is for lines

// What a model's state is called: [icon, tone, what it means].
export const MODEL_STATES = {
  good: ["check", "ok", "stands as its text says"],
  building: ["play", "accent", "is built now"],
  failed: ["cross", "bad", "its last build failed; what stood before still stands"],
  outdated: ["clock", "warn", "its text, or that of what it reads, has changed since it was built"],
  unbuilt: ["ring", "muted", "was never built"],
}
export const stateOf = ({ state }) => MODEL_STATES[state] ?? ["unknown", "muted", ""]

// What is wrong with it beside its state, in words.
export function flaws({ late, tests }) {
  const found = []
  if (tests?.failed) found.push(["cross", "bad", `${many(tests.failed, "test")} failed`])
  if (late) found.push(["clock", "warn", "late"])
  if (tests?.warned) found.push(["warn", "warn", many(tests.warned, "warning")])
  return found
}

const UNSAID = new Set(["good", "unbuilt"]) // the rest of a node tells it

export const shortName = (name) => name.replace(/^(mart|stg)_/, "")
export const modelPath = (name) => `/models/${encodeURIComponent(name)}`

// {places: name -> {column, row}, columns, rows}: each to the right of all that it reads here, near to it. `models` come
// parents first.
export function layout(models) {
  const places = new Map()
  const columns = []
  for (const { name, parents } of models) {
    const column = Math.max(-1, ...parents.filter((parent) => places.has(parent)).map((parent) => places.get(parent).column)) + 1
    places.set(name, { column, parents })
    ;(columns[column] ??= []).push(name)
  }
  const rows = Math.max(0, ...columns.map((names) => names.length))
  for (const names of columns) {
    const wish = (name) => {
      const read = places.get(name).parents.filter((parent) => places.has(parent)).map((parent) => places.get(parent).row)
      return read.length ? read.reduce((sum, row) => sum + row, 0) / read.length : 0
    }
    const wishes = new Map(names.map((name) => [name, wish(name)]))
    names.sort((a, b) => wishes.get(a) - wishes.get(b))
    names.forEach((name, place) => (places.get(name).row = place + (rows - names.length) / 2))
  }
  return { places, columns: columns.length, rows }
}

// `point(name)` is told which one is looked at, null for none; `lit`: the names that stand out then, null for all;
// `traced`: the one whose lines stand out.
export function Graph({ models, now, lit = null, point = () => {}, chosen = "", traced = chosen }) {
  const { places, columns, rows } = layout(models)
  const lines = models.flatMap(({ name, parents }) => parents.filter((parent) => places.has(parent)).map((parent) => [parent, name]))
  const [isLit, isTraced] = [(name) => !lit || lit.has(name), (line) => line.includes(traced)]
  lines.sort((a, b) => isTraced(a) - isTraced(b)) // those above the others
  return html`<div class="graph" style=${{ height: `${rows * ROW_PX}px`, minWidth: `${columns * 172}px`, maxWidth: `${columns * 290}px` }}>
    <svg viewBox=${`0 0 ${columns} ${rows}`} preserveAspectRatio="none" aria-hidden="true">
      ${lines.map((line) => html`<path key=${line.join()} d=${curve(...line.map((name) => places.get(name)))} class=${isTraced(line) ? "strong" : lit ? "dim" : ""} />`)}
    </svg>
    ${models.map((model) => {
      const { column, row } = places.get(model.name)
      const style = { left: `${(column / columns) * 100}%`, top: `${row * ROW_PX + 3}px`, width: `${(NODE / columns) * 100}%` }
      return html`<${Node} key=${model.name} model=${model} now=${now} style=${style} isDim=${!isLit(model.name)} isChosen=${model.name === chosen} point=${point} />`
    })}
  </div>`
}

function curve(from, to) {
  const [x1, y1, x2, y2] = [from.column + NODE, from.row + 0.5, to.column, to.row + 0.5]
  const bend = Math.min(0.5, (x2 - x1) / 2)
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
}

export function Node({ model, now, style, isDim, isChosen, point }) {
  const [icon, tone] = stateOf(model)
  const wrong = flaws(model)
  const told = wrong.length ? wrong[0][2] : UNSAID.has(model.state) ? "" : model.state
  const worst = [tone, ...wrong.map(([, each]) => each)].find((each) => each === "bad") ?? (wrong.length || tone === "warn" ? "warn" : "")
  return html`<a
    class=${`node ${worst} ${isDim ? "dim" : ""}`}
    href=${modelPath(model.name)}
    style=${style}
    title=${[model.name, `${model.state}: ${stateOf(model)[2]}`, ...wrong.map(([, , words]) => words)].join("\n")}
    aria-label=${`${model.name}, ${[model.state, ...wrong.map(([, , words]) => words)].join(", ")}`}
    aria-current=${isChosen ? "true" : undefined}
    onMouseEnter=${() => point(model.name)}
    onMouseLeave=${() => point(null)}
    onFocus=${() => point(model.name)}
    onBlur=${() => point(null)}
  >
    <span class="name"><${Icon} name=${icon} tone=${tone} /><span class="label">${shortName(model.name)}</span></span>
    <span class="brief">${told && html`<b>${told}</b> · `}${brief(model, now)}</span>
  </a>`
}

// How old, how long, how many: as much of it as is known.
function brief({ state, fresh_at, seconds, rows, materialized }, now) {
  if (state === "unbuilt") return materialized === "view" ? "view, not there yet" : "never built"
  const parts = [fresh_at && age((now - Date.parse(fresh_at)) / 1000), materialized === "view" ? "view" : isKnown(rows) && `${compact(rows)} ${rows === 1 ? "row" : "rows"}`, materialized !== "view" && isKnown(seconds) && duration(seconds)]
  return parts.filter(Boolean).join(" · ")
}

export const freshness = ({ fresh_at }, now) => fresh_at && html`<time class="num" datetime=${fresh_at} title=${absolute(fresh_at)}>${age((now - Date.parse(fresh_at)) / 1000)}</time>`
