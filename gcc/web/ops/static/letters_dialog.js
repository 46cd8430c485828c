// Dead letters: filtered, listed, one looked at, replayed. What a replay would send is said before the button is pressed.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.module.js"
import { act, look } from "./feed.js"
import { absolute, age, count, isKnown } from "./format.js"
import { ActionForm, COUNT_AFTER_MS, Choice, SINCE, sinceTime } from "./form.js"
import { events, letters } from "./letters.js"
import { Icon, Num } from "./parts.js"

const LISTED = 50

export function LettersForm({ queue: givenQueue, reason: givenReason, status, close, told }) {
  const [queue, setQueue] = useState(givenQueue)
  const [reason, setReason] = useState(givenReason)
  const [since, setSince] = useState("")
  const [found, setFound] = useState({}) // {filter, list, total, events, groups} or {refused}; {} while looking
  const [shown, setShown] = useState(null) // the letter that is looked at
  const [seen, setSeen] = useState(null) // the one before, to which the focus returns

  useEffect(() => {
    let isCurrent = true
    setFound({})
    const timer = setTimeout(async () => {
      const filter = filterOf({ queue, reason, since })
      const { data, meta, refused } = await look("/api/dead-letters", { ...filter, limit: LISTED })
      if (isCurrent) setFound(refused ? { refused } : { filter, list: data, ...meta })
    }, COUNT_AFTER_MS)
    return () => {
      isCurrent = false
      clearTimeout(timer)
    }
  }, [queue, reason, since])

  const sent = (data) =>
    told(
      `${count(data.letters)} ${letters(data.letters)} replayed.` +
        (data.unreadable ? ` ${count(data.unreadable)} could not be read and wait on.` : ""),
    )
  const back = () => {
    setSeen(shown.id)
    setShown(null)
  }
  if (shown) return html`<${OneLetter} letter=${shown} back=${back} close=${close} sent=${sent} />`

  const { filter = {}, total, list = [] } = found
  const isMeant = Object.keys(filter).length > 0
  const options = { queue, reason: reason.trim(), since }
  const flags = Object.entries(options).flatMap(([name, value]) => (value ? [`--${name}`, value] : []))
  const queues = [...new Set([givenQueue, queue, ...(status.dead_letters?.groups ?? []).map((group) => group.queue)])].filter(Boolean).sort()
  return html`<${ActionForm}
    title="Dead letters"
    confirm=${`Replay ${isMeant && total ? `${count(total)} ${letters(total)}` : "letters"}`}
    isReady=${isMeant && total > 0}
    cli=${(why) => ["replay", ...flags, "--why", why]}
    send=${(why) => act("/api/replay", { filter, why, dry_run: false })}
    close=${close}
    done=${sent}
  >
    <div class="fields three">
      <${Choice} id="l-queue" label="Queue" value=${queue} set=${setQueue} options=${[["", "all queues"], ...queues.map((name) => [name, name])]} />
      <div class="field">
        <label for="l-reason">A part of the reason</label>
        <input id="l-reason" value=${reason} placeholder="any" autocomplete="off" maxlength="300" onInput=${(event) => setReason(event.target.value)} />
      </div>
      <${Choice} id="l-since" label="Buried" value=${since} set=${setSince} options=${SINCE.map(([key, word]) => [key, key ? `in the last ${word}` : word])} />
    </div>
    <ol class="list" id="letters" aria-label="Letters, newest first" aria-busy=${!isKnown(total)}>
      ${list.map((letter) => html`<${Line} key=${letter.id} letter=${letter} show=${setShown} isSeen=${letter.id === seen} />`)}
      ${total > list.length && html`<li class="muted rest">and ${count(total - list.length)} older</li>`}
    </ol>
    <div class="effect" aria-live="polite" id="effect"><${Effect} found=${found} isMeant=${isMeant} /></div>
  <//>`
}

function Line({ letter, show, isSeen }) {
  const button = useRef(null)
  useLayoutEffect(() => {
    if (isSeen) button.current.focus()
  }, [])
  return html`<li>
    <button type="button" class="plain line" ref=${button} title=${`${absolute(letter.at)}\n${letter.reason}\nLook at it`} onClick=${() => show(letter)}>
      <span class="who dotted">${letter.queue}</span>
      <span class="what">${letter.reason}</span>
      <${Num} value=${count(letter.events)} unit=${events(letter.events)} />
      <time class="muted num" datetime=${letter.at}>${age((Date.now() - Date.parse(letter.at)) / 1000)}</time>
    </button>
  </li>`
}

function Effect({ found: { total, events: held, groups, refused }, isMeant }) {
  if (refused) return html`<p>${refused}</p>`
  if (!isKnown(total)) return html`<p class="muted">Looking…</p>`
  if (total === 0) return html`<p>No such letter waits.</p>`
  const n = html`<b class="num">${count(total)}</b>`
  if (!isMeant) return html`<p>${n} ${letters(total)} with ${count(held)} ${events(held)} wait. To replay, choose a queue, a reason or a time.</p>`
  const queues = [...new Set(groups.map((group) => group.queue))]
  const to = queues.length === 1 ? (queues[0] === UNROUTABLE ? "the way they were meant to go" : queues[0]) : "the queues they came from"
  return html`<p>This sends ${n} ${letters(total)} with ${count(held)} ${events(held)} to ${to} again.</p>
    <p class="muted">Each letter is replayed once. What is refused again becomes a new letter, so mend the cause first.</p>`
}

const UNROUTABLE = "unroutable"

// One letter with its body, and its replay alone.
function OneLetter({ letter, back, close, sent }) {
  const [content, setContent] = useState({}) // {data} or {refused}; {} while it is read
  const button = useRef(null)
  useLayoutEffect(() => button.current.focus(), [])
  useEffect(() => {
    let isCurrent = true
    look(`/api/dead-letters/${letter.id}`).then((answer) => isCurrent && setContent(answer))
    return () => (isCurrent = false)
  }, [letter.id])
  const { data, refused } = content
  const trouble = refused ?? data?.trouble
  const isReplayed = Boolean(data?.replayed_at)
  return html`<${ActionForm}
    title="A dead letter"
    confirm="Replay this letter"
    isReady=${Boolean(data) && !trouble && !isReplayed}
    cli=${(why) => ["replay", "--id", letter.id, "--why", why]}
    send=${(why) => act("/api/replay", { filter: { ids: [letter.id] }, why, dry_run: false })}
    close=${close}
    done=${sent}
  >
    <button type="button" class="small back" ref=${button} onClick=${back}>All letters</button>
    <dl class="facts">
      <dt>Refused by</dt>
      <dd>${letter.queue}</dd>
      <dt>Buried</dt>
      <dd><time datetime=${letter.at}>${absolute(letter.at)}</time></dd>
      <dt>Sent to</dt>
      <dd>${letter.exchange || "the queue itself"}${letter.exchange && ` / ${letter.routing_key}`}</dd>
      <dt>Events</dt>
      <dd class="num">${count(letter.events)}</dd>
      <dt>Reason</dt>
      <dd>${(data ?? letter).reason}</dd>
      ${Object.entries(data?.headers ?? {}).map(([name, value]) => html`<dt key=${name} class="header">${name}</dt><dd key=${`${name}:`}>${value}</dd>`)}
    </dl>
    ${isReplayed && html`<p><${Icon} name="check" tone="muted" /> Replayed ${absolute(data.replayed_at)} by ${data.replayed_by}.</p>`}
    ${trouble
      ? html`<p class="refusal"><${Icon} name="warn" tone="bad" />Its body cannot be read: ${trouble}</p>`
      : html`<pre class="body" id="body" tabindex="0" aria-label="Body, secrets masked">${data ? data.body : "…"}</pre>`}
    ${data && !trouble && html`<p class="muted note">${bodyNote(data)}</p>`}
  <//>`
}

const bodyNote = ({ whole, bytes }) =>
  `${count(bytes)} bytes${whole ? "" : ", cut in view"}. Secrets are masked here; what is replayed is whole.`

function filterOf({ queue, reason, since }) {
  const filter = { queue, reason: reason.trim(), since: sinceTime(since) }
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value))
}
