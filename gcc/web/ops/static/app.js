// The page: keeps the last status object, what the link to the server is doing, and draws both.

import { html, render, useEffect, useRef, useState } from "./vendor/htm-preact.module.js"
import { Actors } from "./actors.js"
import { Chart } from "./charts.js"
import { Dialogs } from "./dialogs.js"
import { openFeed } from "./feed.js"
import { absolute, age, duration } from "./format.js"
import { Jobs } from "./jobs.js"
import { Letters } from "./letters.js"
import { ActionLog, Errors, Flows, Numbers, Progress, Verdict } from "./panels.js"
import { Icon } from "./parts.js"

function App() {
  const [status, setStatus] = useState(null)
  const [link, setLink] = useState({ kind: "connecting", retryAt: null })
  const [asked, setAsked] = useState(null) // what a dialog is open for
  const [told, setTold] = useState(null)
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
      <button class="drain" onClick=${() => setAsked({ kind: "drain" })}>
        <${Icon} name="down" tone="inherit" />${status.drain ? "Drain progress" : "Drain…"}
      </button>
    </header>
    <main class=${away ? "stale" : ""}>
      <div class="panel summary">
        <${Numbers} status=${status} />
        <div class="context"><${Progress} status=${status} /><${Links} urls=${status.urls} /></div>
      </div>
      <${Actors} status=${status} ask=${setAsked} />
      <div class="side">
      <section class="panel charts" aria-label="Charts of the last 15 minutes">
        <${Chart} title="Events stored" unit="/s" color="--accent" nowS=${nowS} points=${status.series.events_per_s}
          hint="Mean of the last 10 seconds; a gap means that nothing is known" />
        <${Chart} title="Time of one insert" unit="ms" color="--second" nowS=${nowS} points=${status.series.flush_ms}
          hint="Mean of the inserts of the last 10 seconds; a gap means that there were none" />
      </section>
      <${Flows} status=${status} />
      <${Jobs} status=${status} ask=${setAsked} />
      <${Letters} status=${status} ask=${setAsked} />
      <${Errors} status=${status} />
      </div>
      <${ActionLog} status=${status} />
    </main>
    ${banner}
    <${Told} text=${told} />
    <${Dialogs} status=${status} asked=${asked} close=${() => setAsked(null)} told=${(words) => setTold({ words })} />`
}

const LINKS = [
  ["docs", "API docs"],
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

const TOLD_S = 6

// What was just done, in a line over the page. Always there, or it would not be read out.
function Told({ text }) {
  const [isShown, setShown] = useState(false)
  useEffect(() => {
    if (!text) return
    setShown(true)
    const timer = setTimeout(() => setShown(false), TOLD_S * 1000)
    return () => clearTimeout(timer)
  }, [text])
  return html`<div class=${isShown ? "told" : "told sr"} role="status" id="told">
    ${isShown && html`<${Icon} name="check" tone="inherit" /><span>${text.words}</span> <a href="#h-log">Action log</a>`}
  </div>`
}

const root = document.getElementById("app")
root.textContent = ""
render(html`<${App} />`, root)
