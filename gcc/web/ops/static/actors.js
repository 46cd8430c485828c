// The roles of this process and the tree of its actors. What can be done to one is asked for with `ask`.

import { html, useState } from "./vendor/htm-preact.module.js"
import { count, duration, isKnown, many, rate } from "./format.js"
import { LAG_S_HIGH, condition, pausedElsewhere, tree } from "./health.js"
import { Icon, Num, zero } from "./parts.js"

const COLUMNS = 7

export function Actors({ status, ask }) {
  const [open, setOpen] = useState(new Set())
  const toggle = (name) => {
    const next = new Set(open)
    if (!next.delete(name)) next.add(name)
    setOpen(next)
  }
  const elsewhere = pausedElsewhere(status)
  const line = (each) =>
    each.actor
      ? html`<${ActorLine}
          key=${each.actor.name}
          ...${each}
          isPaused=${status.paused.includes(each.actor.name)}
          isOpen=${open.has(each.actor.name)}
          toggle=${toggle}
          ask=${ask}
        />`
      : html`<tr class="group" key=${`group ${each.label}`}>
          <th scope="row" colspan=${COLUMNS}>${each.label}</th>
        </tr>`
  return html`<section class="panel actors" aria-labelledby="h-actors">
    <div class="head">
      <h2 id="h-actors">Actors</h2>
      <${Roles} status=${status} ask=${ask} />
    </div>
    <table>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">State</th>
          <th scope="col" class="r" title="Mean of the last 10 seconds">Rate</th>
          <th scope="col" class="r wide">In flight</th>
          <th scope="col" class="r">Lag</th>
          <th scope="col" class="r wide" title="Restarts"><${Icon} name="again" /><span class="sr">Restarts</span></th>
          <th scope="col" class="wide"><span class="sr">Pause or resume</span></th>
        </tr>
      </thead>
      ${folds(tree(status.actors)).map(
        ({ lines, kind, idle }) => html`<tbody key=${kind}>
            ${lines.map(line)}
            ${idle.length > 0 && html`<${FoldLine} kind=${kind} count=${idle.length} isOpen=${open.has(kind)} toggle=${toggle} />`}
          </tbody>
          ${idle.length > 0 && open.has(kind) && html`<tbody key=${`idle ${kind}`} id=${`idle-${kind}`} class="folded">${idle.map(line)}</tbody>`}`,
      )}
    </table>
    ${elsewhere.length > 0 &&
    html`<ul class="elsewhere">
      ${elsewhere.map(
        (name) => html`<li key=${name}>
          <${Icon} name="pause" tone="warn" /><span class="label" title=${name}>${name}</span><span class="muted">paused, not in this process</span>
          <button class="small" onClick=${() => ask({ kind: "resume", what: name })}>Resume…</button>
        </li>`,
      )}
    </ul>`}
  </section>`
}

const ROLE_STATES = { running: ["dot", "ok"], draining: ["down", "accent"], drained: ["check", "warn"] }

const Roles = ({ status, ask }) =>
  html`<ul class="roles" aria-label="Roles of this process">
    ${status.roles.map(({ name, state }) => {
      const [icon, tone] = ROLE_STATES[state] ?? ["unknown", "muted"]
      const does = status.drain ? "" : { running: " Drain it…", drained: " Resume it…" }[state] ?? ""
      return html`<li key=${name}>
        <button class="chip" id=${`role-${name}`} title=${`Role ${name}: ${state}.${does}`} onClick=${() => ask({ kind: "role", role: name })}>
          <${Icon} name=${icon} tone=${tone} />${name}<span class=${state === "running" || status.drain ? "sr" : "muted"}>${` ${state}`}</span>
        </button>
      </li>`
    })}
  </ul>`

// Each kind of which there are many ends a part: its `lines`, then what is idle in one that opens. That one stands
// after the last of the kind, so that it never moves up.
function folds(lines) {
  const parts = [{ lines: [], idle: [] }]
  for (const line of lines) {
    const kind = line.actor?.kind
    const alike = kind ? lines.filter(({ actor }) => actor?.kind === kind) : []
    const idle = alike.filter(({ actor }) => actor.idle)
    if (idle.length < 2 || !line.actor.idle) parts.at(-1).lines.push(line)
    if (idle.length > 1 && line === alike.at(-1)) {
      Object.assign(parts.at(-1), { kind, idle })
      parts.push({ lines: [], idle: [] })
    }
  }
  return parts
}

const FoldLine = ({ kind, count, isOpen, toggle }) =>
  html`<tr class="depth-1 fold" id=${`fold-${kind}`}>
    <th scope="row" colspan=${COLUMNS}>
      <button class="name" aria-expanded=${isOpen} aria-controls=${`idle-${kind}`} onClick=${() => toggle(kind)}
        title="Nothing came for them since the start, and nothing is wrong with them">
        <${Icon} name=${isOpen ? "open" : "shut"} /><span class="label muted">${count} idle ${kind}</span>
      </button>
    </th>
  </tr>`

function ActorLine({ actor, label, depth, isPaused, isOpen, toggle, ask }) {
  const [icon, tone, word] = condition(actor, isPaused)
  const id = `actor-${actor.name.replace(/[^\w-]/g, "-")}`
  const late = isKnown(actor.lag_s) && actor.lag_s > LAG_S_HIGH
  const verb = isPaused ? "Resume" : "Pause"
  const turn = () => ask({ kind: isPaused ? "resume" : "pause", what: actor.name })
  const showStack = () => ask({ kind: "stack", actor: actor.name })
  return html`<tr class=${`depth-${Math.min(depth, 3)} ${depth === 0 ? "group" : ""}`} id=${id}>
      <th scope="row">
        <button
          class="name"
          aria-expanded=${isOpen}
          aria-controls=${`${id}-more`}
          title=${actor.last_error ? `${actor.name}\nLast error: ${actor.last_error}` : actor.name}
          onClick=${() => toggle(actor.name)}
        >
          <span class="label">${label}</span>
          ${actor.last_error && html`<span class="erred" aria-label="has a last error">!</span>`}
        </button>
      </th>
      <td class="state">
        ${actor.stack && tone === "bad"
          ? html`<button class="plain bad" onClick=${showStack} title="Show its stack">
              <${Icon} name=${icon} tone=${tone} /><span class="dotted">${word}</span>
            </button>`
          : html`<${Icon} name=${icon} tone=${tone} />${word}`}
      </td>
      <td class=${`r ${zero(actor.rate_per_s)}`}><${Num} value=${rate(actor.rate_per_s)} unit="/s" /></td>
      <td class=${`r wide ${zero(actor.in_flight)}`}><${Num} value=${count(actor.in_flight)} /></td>
      <td class=${`r ${zero(actor.lag_s)}`}>
        ${late && html`<${Icon} name="warn" tone="warn" />`}
        <${Num} value=${duration(actor.lag_s)} title=${isKnown(actor.lag_s) ? undefined : "has no lag"} />
      </td>
      <td class=${`r wide ${zero(actor.restarts)}`}><${Num} value=${count(actor.restarts)} /></td>
      <td class="wide turn">
        ${actor.can_pause &&
        html`<button class="plain" aria-label=${`${verb} ${actor.name}…`} title=${`${verb}…`} onClick=${turn}>
          <${Icon} name=${isPaused ? "play" : "pause"} tone="inherit" />
        </button>`}
      </td>
    </tr>
    ${isOpen &&
    html`<tr class="more" id=${`${id}-more`}>
      <td colspan=${COLUMNS}>
        <p class="muted">
          ${count(actor.done)} done · ${count(actor.failed)} failed · ${count(actor.in_flight)} in flight ·${" "}
          ${many(actor.restarts, "restart")}${actor.breaker ? ` · breaker ${actor.breaker}` : ""}
        </p>
        <p class="error-text">${actor.last_error ?? "No error since the start."}</p>
        ${(actor.can_pause || actor.stack) &&
        html`<p class="buttons">
          ${actor.can_pause && html`<button class="small" onClick=${turn}><${Icon} name=${isPaused ? "play" : "pause"} tone="inherit" />${verb}…</button>`}
          ${actor.stack && html`<button class="small" onClick=${showStack}>Show its last stack</button>`}
        </p>`}
      </td>
    </tr>`}`
}
