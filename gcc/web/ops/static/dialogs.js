// What a person can do, one dialog each: it says what it will do to how many things, asks why, shows the same
// verb of the command line, and closes when it is done. `ask` objects name the dialog and its object.

import { html, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.module.js"
import { act } from "./feed.js"
import { count } from "./format.js"
import { ActionForm, Copyable } from "./form.js"
import { JobForm, JobsForm } from "./jobs_dialog.js"
import { LettersForm } from "./letters_dialog.js"
import { DrainStages } from "./panels.js"
import { Icon } from "./parts.js"

const KINDS = { drain: DrainProcess, role: Role, pause: Pause, resume: Resume, concurrency: Concurrency, limit: Limit, jobs: JobsForm, job: JobForm, schedule: Schedule, model: RunModels, sync: SyncTable, accept: AcceptSync, letters: LettersForm, stack: Stack }

// The one dialog of the page. Its content is there while something is asked for.
export function Dialogs({ status, asked, close, told }) {
  const dialog = useRef(null)
  useLayoutEffect(() => {
    if (asked && !dialog.current.open) dialog.current.showModal()
    if (!asked && dialog.current.open) dialog.current.close()
  }, [asked])
  const Content = asked && KINDS[asked.kind]
  return html`<dialog
    ref=${dialog}
    class=${asked ? `ask-${asked.kind}` : ""}
    aria-labelledby="h-dialog"
    onCancel=${(event) => {
      event.preventDefault()
      close()
    }}
    onClose=${() => dialog.current.open || close()}
  >
    ${asked && html`<${Content} key=${JSON.stringify(asked)} ...${asked} status=${status} close=${close} told=${told} />`}
  </dialog>`
}

const B = ({ n }) => html`<b class="num">${count(n)}</b>`
const jobs = (n) => (n === 1 ? "job" : "jobs")

// ---- drain

function DrainProcess({ status, close }) {
  if (status.drain)
    return html`<h2 id="h-dialog">Draining</h2>
      <p>The process ends when the last stage is done.</p>
      <${DrainStages} stages=${status.drain} />
      <div class="actions"><button onClick=${close} autofocus>Close</button></div>`
  const queued = status.channels.filter((use) => use.kind === "queue").reduce((sum, use) => sum + use.used, 0)
  return html`<${ActionForm}
    title="Drain this process?"
    confirm="Drain now"
    isDangerous
    cli=${(why) => ["drain", "--why", why]}
    send=${(why) => act("/api/drain", { role: null, why })}
    close=${close}
  >
    <ul>
      <li>It stops taking new work.</li>
      <li><${B} n=${status.in_flight} /> ${jobs(status.in_flight)} in flight are finished.</li>
      <li>
        What the sinkers hold is stored. <${B} n=${queued} /> queued events and
        <b class="num"> ${count(status.jobs.PENDING ?? 0)}</b> waiting jobs stay where they are, on disk, for the next start.
      </li>
      <li>Then the process exits.</li>
    </ul>
  <//>`
}

const ROLE_ACTORS = {
  scraper: /^(scraping|first start)/,
  relay: /^events\/relay/,
  sinker: /^events\/sinker/,
  analytics: /^analytics/,
  web: /^web\/gateway/,
}
const ROLE_STOPS = {
  scraper: "It claims no more jobs; those in hand are finished.",
  relay: "The outbox is emptied, then nothing is put into the queues any more.",
  sinker: "What the sinkers hold is stored, then nothing is taken from the queues any more.",
  analytics: "Models and syncs that run are cancelled, and no schedule begins.",
  web: "The gateway answers the requests it has, then its port closes. This page stays.",
}

function Role({ role, status, close, told }) {
  const { state, drain } = status.roles.find(({ name }) => name === role) ?? { state: "gone", drain: null }
  if (state === "drained" && !status.drain)
    return html`<${ActionForm}
      title=${`Resume role ${role}?`}
      confirm="Resume"
      cli=${(why) => ["resume", role, "--why", why]}
      send=${(why) => act("/api/resume", { what: role, why })}
      close=${close}
      done=${() => told(`Role ${role} works again.`)}
    >
      <p>The role has drained. Its actors start again in this process and take work.</p>
    <//>`
  if (state !== "running" || status.drain)
    return html`<h2 id="h-dialog">Role ${role}: ${state}</h2>
      ${drain ? html`<${DrainStages} stages=${drain} />` : ""}
      <div class="actions"><button onClick=${close} autofocus>Close</button></div>`
  const held = status.actors.filter(({ name }) => ROLE_ACTORS[role]?.test(name)).reduce((sum, actor) => sum + actor.in_flight, 0)
  return html`<${ActionForm}
    title=${`Drain role ${role}?`}
    confirm="Drain the role"
    isDangerous
    cli=${(why) => ["drain", "--role", role, "--why", why]}
    send=${(why) => act("/api/drain", { role, why })}
    close=${close}
    done=${() => told(`Role ${role} drains.`)}
  >
    <ul>
      <li>${ROLE_STOPS[role] ?? "It finishes what it holds."} In flight now: <${B} n=${held} />.</li>
      <li>The process and its other roles go on. Other processes are not touched.</li>
      <li>It can be resumed here when it has drained.</li>
    </ul>
  <//>`
}

// ---- pause and resume

// What a pause means for this actor: a sentence, and what waits meanwhile.
function Meaning({ what, status }) {
  const held = status.actors.find(({ name }) => name === what)?.in_flight ?? 0
  const [, group, flow] = what.match(/^(scraping\/scraper|events\/sinker) (.*)/) ?? [null, what, ""]
  if (group === "scraping/scraper") {
    const waiting = status.jobs_by_flow[flow]?.PENDING ?? 0
    return html`<li>It claims no more jobs of ${flow}. The <${B} n=${held} /> it holds are finished.</li>
      <li><${B} n=${waiting} /> waiting ${jobs(waiting)} stay PENDING; those that wait too long expire.</li>`
  }
  if (group === "events/sinker") {
    const queue = status.channels.find(({ name, kind }) => kind === "queue" && (name === flow || name === `${flow}_events_q`))
    return html`<li>It takes nothing more from its queue. The <${B} n=${held} /> events it holds are stored.</li>
      <li><${B} n=${queue?.used} /> queued events stay on disk.</li>`
  }
  if (group === "events/relay") return html`<li>Events stay in the outbox, on disk. Nothing reaches the queues; the stored lag grows.</li>`
  if (group === "scraping/maintenance") return html`<li>Jobs whose attempt died are not rescued, and waiting jobs do not expire.</li>`
  if (group === "analytics/scheduler") return html`<li>Due times are skipped, and so are their models and syncs. What runs goes on.</li>`
  return html`<li>It takes no new work. What it holds is finished.</li>`
}

function Pause({ what, status, close, told }) {
  return html`<${ActionForm}
    title=${`Pause ${what}?`}
    confirm="Pause"
    cli=${(why) => ["pause", what, "--why", why]}
    send=${(why) => act("/api/pause", { what, why })}
    close=${close}
    done=${() => told(`${what} is paused.`)}
  >
    <ul>
      <${Meaning} what=${what} status=${status} />
      <li>This holds in every process, also after a restart, until it is resumed.</li>
    </ul>
  <//>`
}

function Resume({ what, status, close, told }) {
  const paused = status.actions.find(({ verb, target }) => verb === "pause" && target === what)
  return html`<${ActionForm}
    title=${`Resume ${what}?`}
    confirm="Resume"
    cli=${(why) => ["resume", what, "--why", why]}
    send=${(why) => act("/api/resume", { what, why })}
    close=${close}
    done=${() => told(`${what} takes work again.`)}
  >
    ${paused && html`<p class="muted">Paused by ${paused.who}: ${paused.why}</p>`}
    <p>It takes work again, in every process.</p>
  <//>`
}

// ---- concurrency

const LEVEL_MAX = 1000

function Concurrency({ flow, status, close, told }) {
  const level = status.concurrency[flow] ?? { now: 0, default: 0 }
  const [text, setText] = useState(String(level.now))
  const wanted = Number(text)
  const value = wanted === level.default ? null : wanted
  const isValid = Number.isInteger(wanted) && wanted >= 1 && wanted <= LEVEL_MAX
  const effect = !isValid
    ? `Between 1 and ${count(LEVEL_MAX)}.`
    : wanted === level.now
      ? "That is how it is now."
      : wanted < level.now
        ? `From ${count(level.now)} down to ${count(wanted)} jobs at once in each process. Jobs in hand are finished first.`
        : `From ${count(level.now)} up to ${count(wanted)} jobs at once in each process. The sources' limits hold as before.`
  return html`<${ActionForm}
    title=${`Jobs of ${flow} at once`}
    confirm=${isValid ? `Set to ${count(wanted)}` : "Set"}
    isReady=${isValid && wanted !== level.now}
    cli=${(why) => ["concurrency", flow, value === null ? "default" : text, "--why", why]}
    send=${(why) => act("/api/concurrency", { flow, value, why })}
    close=${close}
    done=${() => told(`${flow}: ${count(wanted)} jobs at once${value === null ? ", as configured" : ""}.`)}
  >
    <div class="field row">
      <label for="at-once">At once</label>
      <input id="at-once" type="number" min="1" max=${LEVEL_MAX} required value=${text} onInput=${(event) => setText(event.target.value)} autofocus />
      <button type="button" class="small" disabled=${wanted === level.default} onClick=${() => setText(String(level.default))}>
        As configured: ${count(level.default)}
      </button>
    </div>
    <p aria-live="polite">${effect}</p>
  <//>`
}

// ---- limits

const CALLS_MAX = 1e9

function Limit({ limit, close, told }) {
  const { name, per_s } = limit
  const [calls, setCalls] = useState(String(limit.calls))
  const [seconds, setSeconds] = useState(String(per_s))
  const [isDefault, setDefault] = useState(false)
  const isValid = Number.isInteger(Number(calls)) && Number(calls) >= 1 && Number(calls) <= CALLS_MAX && Number(seconds) > 0
  const words = isDefault ? "as configured" : `${count(Number(calls))} in any ${seconds} s`
  return html`<${ActionForm}
    title=${`Limit ${name}`}
    confirm=${isDefault ? "As configured" : isValid ? `Set to ${words}` : "Set"}
    isReady=${isDefault || isValid}
    cli=${(why) => ["limits", "set", name, ...(isDefault ? ["default"] : [calls, seconds]), "--why", why]}
    send=${(why) => act("/api/limits", { name, calls: isDefault ? null : Number(calls), per_s: isDefault ? null : Number(seconds), why })}
    close=${close}
    done=${() => told(`${name}: ${words}.`)}
  >
    <div class="field row">
      <label for="limit-calls">Calls</label>
      <input id="limit-calls" type="number" min="1" max=${CALLS_MAX} required disabled=${isDefault} value=${calls} onInput=${(event) => setCalls(event.target.value)} autofocus />
      <label for="limit-seconds">in any</label>
      <input id="limit-seconds" type="number" min="0" step="any" required disabled=${isDefault} value=${seconds} onInput=${(event) => setSeconds(event.target.value)} />
      <span>s</span>
      <button type="button" class="small" aria-pressed=${isDefault} onClick=${() => setDefault(!isDefault)}>As configured</button>
    </div>
    <p>All processes hear of it at once. What was spent still counts.</p>
  <//>`
}

// ---- schedules

const WAIT_S = 4 // for a run that ends, or is refused, at once; a longer one is followed on the page

// Begins a run and waits a moment for its end: {data: null} where it goes on.
async function begin(path, body) {
  const { data, refused, isLate } = await act(path, body, { forS: WAIT_S })
  return isLate ? { data: null } : { data, refused }
}

function Schedule({ name, close, told }) {
  return html`<${ActionForm}
    title=${`Run ${name} now?`}
    confirm="Run now"
    cli=${(why) => ["schedules", "run", name, "--why", why]}
    send=${(why) => begin("/api/schedules/run", { name, why })}
    close=${close}
    done=${(run) => told(run ? `${name} has run: ${run.status}.` : `${name} runs.`)}
  >
    <p>It runs once, after the run that is under way if there is one. Its next time stays as it is.</p>
  <//>`
}

// ---- models

// `select`: names and tag:TAG, none: all. `strategy` of a single one.
function RunModels({ select, strategy, close, told }) {
  const [isFull, setFull] = useState(false)
  const what = select.join(" ") || "all models"
  const grows = select.length !== 1 || strategy
  return html`<${ActionForm}
    title=${`Run ${what} now?`}
    confirm="Run now"
    cli=${(why) => ["models", "run", ...select, ...(isFull ? ["--full"] : []), "--why", why]}
    send=${(why) => begin("/api/models/run", { select, full: isFull, why })}
    close=${close}
    done=${(run) => told(run ? `${what}: the run is over, ${run.status}.` : `${what}: the run goes on.`)}
  >
    <ul>
      <li>What ${select.length === 1 && !select[0].startsWith("tag:") ? "it reads is" : "they read and is not among them is"} taken as it stands. Readers find the old table or the new one.</li>
      <li>A run of models that is under way is waited for.</li>
    </ul>
    ${grows && html`<label class="radio"><input id="full" type="checkbox" checked=${isFull} onChange=${(event) => setFull(event.target.checked)} />Whole: also what only grows is built from all its rows</label>`}
  <//>`
}

// ---- syncs

function SyncTable({ table, mart, close, told }) {
  return html`<${ActionForm}
    title=${`Sync ${table} now?`}
    confirm="Sync now"
    cli=${(why) => ["sync", "run", table, "--why", why]}
    send=${(why) => begin("/api/sync/run", { table, why })}
    close=${close}
    done=${(run) => told(run ? `${table} was synced: ${run.detail?.outcome ?? run.status}.` : `${table} is being synced.`)}
  >
    <p>It is replaced by what ${mart} holds now, if the guards let it. Readers find the old table or the new one.</p>
  <//>`
}

function AcceptSync({ table, refused, close, told }) {
  return html`<${ActionForm}
    title=${`Accept what ${table} would get?`}
    confirm="Accept and sync"
    isDangerous
    cli=${(why) => ["sync", "accept", table, "--why", why]}
    send=${(why) => begin("/api/sync/accept", { table, why })}
    close=${close}
    done=${(run) => told(run ? `${table} was accepted and synced: ${run.detail?.outcome ?? run.status}.` : `${table} is accepted and being synced.`)}
  >
    <p class="error-text">${refused}</p>
    <ul>
      <li>The next run, which begins now, is let through by the guards, once. A doubled key still stops it.</li>
      <li>What is served now is replaced, and not kept.</li>
    </ul>
  <//>`
}

// ---- stack

function Stack({ actor: name, status, close }) {
  const actor = status.actors.find((one) => one.name === name)
  return html`<h2 id="h-dialog">${actor?.stuck ? "Where" : "The last stack of"} ${name}${actor?.stuck ? " stands" : ""}</h2>
    ${actor?.last_error && html`<p class="error-text"><${Icon} name="warn" tone="warn" /> ${actor.last_error}</p>`}
    ${actor?.stack
      ? html`<${Copyable} text=${actor.stack} block />`
      : html`<p class="muted">It has none any more: the process was started anew.</p>`}
    <div class="actions"><button onClick=${close} autofocus>Close</button></div>`
}
