// The page: keeps the last status object, what the link to the server is doing, and draws both.

import { html, render, useEffect, useRef, useState } from "./vendor/htm-preact.module.js"
import { Chart } from "./charts.js"
import { openFeed, requestDrain } from "./feed.js"
import { absolute, age, count, duration } from "./format.js"
import { Actors, DrainStages, Errors, Flows, Icon, Jobs, Numbers, Progress, Verdict } from "./panels.js"

function App() {
  const [status, setStatus] = useState(null)
  const [link, setLink] = useState({ kind: "connecting", retryAt: null })
  const [asking, setAsking] = useState(false)
  const heardAt = useRef(0)
  const feed = useRef(null)

  useEffect(() => {
    feed.current = openFeed({
      onMessage: (message) => {
        heardAt.current = performance.now()
        if (!document.hidden) setStatus(message)
      },
      onLink: setLink,
    })
  }, [])
  useEffect(() => {
    if (status) document.title = `${link.kind === "open" ? status.state : "no connection"} · gcc`
  }, [status?.state, link.kind])

  const away = link.kind !== "open" && link.kind !== "connecting"
  const banner = away && html`<${Banner} link=${link} status=${status} heardAt=${heardAt.current} retryNow=${() => feed.current.retryNow()} />`
  if (!status)
    return html`<header class="top"><span class="brand">gcc</span><span class="muted">connecting…</span></header>${banner}`
  const nowS = Math.floor(Date.parse(status.at) / 1000)
  return html`<header class="top">
      <span class="brand" aria-hidden="true">gcc</span>
      <h1 class="sr">gcc platform</h1>
      <${Verdict} status=${status} link=${link.kind} />
      <span class="uptime muted" title=${`As of ${absolute(status.at)}`}>up <span class="num">${duration(Math.floor(status.uptime_s))}</span></span>
      <button class="drain" onClick=${() => setAsking(true)}>
        <${Icon} name="down" tone="inherit" />${status.drain ? "Drain progress" : "Drain…"}
      </button>
    </header>
    <main class=${away ? "stale" : ""}>
      <div class="panel summary">
        <${Numbers} status=${status} />
        <div class="context"><${Progress} status=${status} /><${Links} urls=${status.urls} /></div>
      </div>
      <${Actors} status=${status} />
      <div class="side">
      <section class="panel charts" aria-label="Charts of the last 15 minutes">
        <${Chart} title="Events stored" unit="/s" color="--accent" nowS=${nowS} points=${status.series.events_per_s}
          hint="Mean of the last 10 seconds; a gap means that nothing is known" />
        <${Chart} title="Time of one insert" unit="ms" color="--second" nowS=${nowS} points=${status.series.flush_ms}
          hint="Mean of the inserts of the last 10 seconds; a gap means that there were none" />
      </section>
      <${Flows} status=${status} />
      <${Jobs} status=${status} />
      <${Errors} status=${status} />
      </div>
    </main>
    ${banner}
    <${DrainDialog} status=${status} isOpen=${asking} close=${() => setAsking(false)} />`
}

const LINKS = [
  ["docs", "API docs"],
  ["gateway", "Gateway"],
  ["world", "World"],
]

const Links = ({ urls }) =>
  html`<nav class="links" aria-label="Other ports">
    ${LINKS.filter(([key]) => urls[key]).map(([key, word]) => html`<a key=${key} href=${urls[key]} rel="noreferrer">${word}</a>`)}
    <code title="The same in a terminal">python -m gcc.supervisor status --watch</code>
  </nav>`

// Lies over the page, so that nothing moves when it comes and goes.
function Banner({ link, status, heardAt, retryNow }) {
  const [now, setNow] = useState(performance.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), 500)
    return () => clearInterval(timer)
  }, [])
  const old = status && `The data is ${age(Math.max(1, (now - heardAt) / 1000))} old.`
  const waitS = Math.max(0, Math.ceil(((link.retryAt ?? now) - now) / 1000))
  const drained = status?.state === "draining"
  const text = {
    silent: ["The server is silent.", old],
    lost: drained
      ? ["The process has drained and stopped, or is about to.", old]
      : ["The connection is lost.", old, `Trying again ${waitS ? `in ${waitS} s` : "now"}.`],
    locked: ["The token of this page is not valid any more; the process was restarted.", old],
  }[link.kind]
  return html`<div class="banner" id="banner">
    <${Icon} name="warn" tone="inherit" />
    <p><b role="alert">${text[0]}</b> <span>${text.slice(1).filter(Boolean).join(" ")}</span>
      ${link.kind === "locked" && html`<span> Open the URL of its <code>ready</code> line, or ask for it: <code>python -m gcc.supervisor status</code></span>`}
    </p>
    <button onClick=${retryNow}>Try now</button>
  </div>`
}

function DrainDialog({ status, isOpen, close }) {
  const dialog = useRef(null)
  const [refusal, setRefusal] = useState(null)
  const [isSent, setSent] = useState(false)
  useEffect(() => {
    if (isOpen && !dialog.current.open) dialog.current.showModal()
    if (!isOpen && dialog.current.open) dialog.current.close()
  }, [isOpen])
  const ask = async () => {
    setSent(true)
    setRefusal(await requestDrain())
    setSent(false)
  }
  const running = status.in_flight
  const queued = status.channels.filter((use) => use.kind === "queue").reduce((sum, use) => sum + use.used, 0)
  return html`<dialog ref=${dialog} onCancel=${(event) => { event.preventDefault(); close() }}
      onClose=${() => dialog.current.open || close()} aria-labelledby="h-drain">
    <h2 id="h-drain">${status.drain ? "Draining" : "Drain this process?"}</h2>
    ${status.drain
      ? html`<p>The process ends when the last stage is done.</p><${DrainStages} stages=${status.drain} />`
      : html`<ul>
            <li>It stops taking new work.</li>
            <li><b class="num">${count(running)}</b> jobs in flight are finished.</li>
            <li>
              What the sinkers hold is stored. <b class="num">${count(queued)}</b> queued events and
              <b class="num"> ${count(status.jobs.PENDING ?? 0)}</b> waiting jobs stay where they are, on disk, for the next start.
            </li>
            <li>Then the process exits.</li>
          </ul>
          <p class="muted">The same in a terminal: <code>python -m gcc.supervisor drain</code></p>`}
    ${refusal && html`<p class="refusal" role="alert"><${Icon} name="warn" tone="bad" />Not drained: ${refusal}</p>`}
    <div class="actions">
      <button onClick=${close} autofocus>${status.drain ? "Close" : "Cancel"}</button>
      ${!status.drain && html`<button class="danger" id="drain-now" disabled=${isSent} onClick=${ask}>Drain now</button>`}
    </div>
  </dialog>`
}

const root = document.getElementById("app")
root.textContent = ""
render(html`<${App} />`, root)
