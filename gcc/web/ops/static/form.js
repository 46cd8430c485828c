// The frame of every action: what it does, why, the same in a terminal, what was refused.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.module.js"
import { Icon } from "./parts.js"

// `cli(why)` gives the words after the program's name; `send(why)` what act() of feed.js answers.
// After it was done the dialog closes and `done(data)` is called; without `done` it stays, and shows how it goes on.
export function ActionForm({ title, children, confirm, isDangerous, isReady = true, cli, send, close, done }) {
  const [why, setWhy] = useState("")
  const [refusal, setRefusal] = useState(null)
  const [isSent, setSent] = useState(false)
  const submit = async (event) => {
    event.preventDefault()
    if (isSent || !isReady) return
    setSent(true)
    setRefusal(null)
    const { data, refused } = await send(why.trim())
    setSent(false)
    if (refused) return setRefusal(refused)
    if (done) {
      close()
      done(data)
    }
  }
  return html`<form onSubmit=${submit}>
    <h2 id="h-dialog">${title}</h2>
    ${children}
    <div class="field">
      <label for="why">Why</label>
      <input id="why" required pattern=".*\\S.*" maxlength="500" autocomplete="off" placeholder="Kept in the action log"
        title="A reason, for the action log" value=${why} onInput=${(event) => setWhy(event.target.value)} autofocus />
    </div>
    <p class="muted same">The same in a terminal</p>
    <${Copyable} text=${`python -m gcc.supervisor ${cli(why.trim() || "…").map(quoted).join(" ")}`} />
    ${refusal && html`<p class="refusal" role="alert"><${Icon} name="warn" tone="bad" />Not done: ${refusal}</p>`}
    <div class="actions">
      <button type="button" onClick=${close}>Close</button>
      <button class=${isDangerous ? "danger" : "primary"} id="confirm" disabled=${isSent || !isReady}>${confirm}</button>
    </div>
  </form>`
}

// As a POSIX shell takes it for one word.
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

// Text with a button that copies it; where the browser does not let us, it selects it.
export function Copyable({ text, block }) {
  const box = useRef(null)
  const [word, setWord] = useState("Copy")
  const copy = async () => {
    getSelection().selectAllChildren(box.current)
    try {
      await navigator.clipboard.writeText(text)
      setWord("Copied")
    } catch {
      setWord("Selected")
    }
    setTimeout(() => setWord("Copy"), 2000)
  }
  return html`<div class=${block ? "copyable block" : "copyable"}>
    ${block ? html`<pre ref=${box} tabindex="0">${text}</pre>` : html`<code ref=${box}>${text}</code>`}
    <button type="button" class="small" onClick=${copy} aria-live="polite">${word}</button>
  </div>`
}

// ---- parts of filters

export const COUNT_AFTER_MS = 250 // not at every key

export const SINCE = [
  ["", "any time"],
  ["15m", "15 minutes", 900],
  ["1h", "hour", 3600],
  ["6h", "6 hours", 6 * 3600],
  ["1d", "day", 86_400],
  ["7d", "7 days", 7 * 86_400],
]

// The time that a key of SINCE means now; undefined for any time.
export function sinceTime(since) {
  const seconds = SINCE.find(([key]) => key === since)?.[2]
  return seconds && new Date(Date.now() - seconds * 1000).toISOString()
}

export const Choice = ({ id, label, value, set, options }) =>
  html`<div class="field">
    <label for=${id}>${label}</label>
    <select id=${id} onChange=${(event) => set(event.target.value)}>
      ${options.map(([key, word]) => html`<option key=${key} value=${key} selected=${key === value}>${word}</option>`)}
    </select>
  </div>`

// A field that says what was typed when that has stood for a moment.
export function Typed({ id, label, value, placeholder, set }) {
  const [text, setText] = useState(value)
  const say = useRef(null)
  say.current = set // what else is asked for may change meanwhile
  useEffect(() => setText((typed) => (typed.trim() === value ? typed : value)), [value])
  useEffect(() => {
    if (text.trim() === value) return
    const timer = setTimeout(() => say.current(text.trim()), COUNT_AFTER_MS)
    return () => clearTimeout(timer)
  }, [text])
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <input id=${id} type="search" value=${text} placeholder=${placeholder} maxlength="300" autocomplete="off" spellcheck="false" onInput=${(event) => setText(event.target.value)} />
  </div>`
}
