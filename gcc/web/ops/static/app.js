// The frame of every page: keeps the last status object, what the link to the server is doing, and what is asked for.

import { html, render, useEffect, useRef, useState } from "./vendor/htm-preact.module.js"
import { Dialogs } from "./dialogs.js"
import { openFeed } from "./feed.js"
import { absolute, age, duration } from "./format.js"
import { PAGES, pageOf } from "./pages.js"
import { Verdict } from "./panels.js"
import { Icon } from "./parts.js"
import { useRoute } from "./route.js"

function App() {
  const [status, setStatus] = useState(null)
  const [link, setLink] = useState({ kind: "connecting", retryAt: null })
  const [asked, setAsked] = useState(null) // what a dialog is open for
  const [told, setTold] = useState(null)
  const { path, query } = useRoute()
  const { page, rest } = pageOf(path)
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
    const word = page && page.path !== "/" ? `${page.word} · ` : ""
    if (status) document.title = `${word}${link.kind === "open" ? status.state : "no connection"} · gcc`
  }, [status?.state, link.kind, page])

  const away = link.kind !== "open" && link.kind !== "connecting"
  const banner = away && html`<${Banner} link=${link} status=${status} heardAt=${heardAt.current} retryNow=${() => feed.current.retryNow()} />`
  if (!status)
    return html`<header class="top"><span class="brand">gcc</span><span class="muted">connecting…</span></header>${banner}`
  return html`<header class="top">
      <span class="brand" aria-hidden="true">gcc</span>
      <h1 class="sr">gcc platform${page ? `: ${page.word}` : ""}</h1>
      <nav class="pages" aria-label="Pages">
        ${PAGES.map((one) => html`<a key=${one.path} href=${one.path} aria-current=${one === page ? "page" : undefined}>${one.word}</a>`)}
      </nav>
      <${Verdict} status=${status} link=${link.kind} />
      <span class="uptime muted" title=${`As of ${absolute(status.at)}`}>up <span class="num">${duration(Math.floor(status.uptime_s))}</span></span>
      <button class="drain" onClick=${() => setAsked({ kind: "drain" })}>
        <${Icon} name="down" tone="inherit" />${status.drain ? "Drain progress" : "Drain…"}
      </button>
    </header>
    <main class=${`${away ? "stale" : ""} ${page?.path === "/" ? "" : "page"}`}>
      ${page
        ? html`<${page.Page} key=${page.path} status=${status} ask=${setAsked} rest=${rest} query=${query} />`
        : html`<section class="panel page-wide"><h2>There is no such page</h2><p>What there is stands above; <a href="/">the overview</a> has all at once.</p></section>`}
    </main>
    ${banner}
    <${Told} text=${told} />
    <${Dialogs} status=${status} asked=${asked} close=${() => setAsked(null)} told=${(words) => setTold({ words })} />`
}

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
    ${isShown && html`<${Icon} name="check" tone="inherit" /><span>${text.words}</span> <a href="/#h-log">Action log</a>`}
  </div>`
}

const root = document.getElementById("app")
root.textContent = ""
render(html`<${App} />`, root)
