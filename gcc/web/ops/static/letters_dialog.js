// Dead letters: filtered, listed, one looked at, replayed. What a replay would send is said before the button is pressed.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.module.js"
import { act, look } from "./feed.js"
import { absolute, count, isKnown } from "./format.js"
import { ActionForm } from "./form.js"
import { events, letters } from "./letters.js"
import { Filters, Lines, useLetters } from "./letters_list.js"
import { Icon } from "./parts.js"

// `letter`: the one to begin with.
export function LettersForm({ queue: givenQueue, reason: givenReason, since: givenSince = "", letter = null, status, close, told }) {
  const [queue, setQueue] = useState(givenQueue)
  const [reason, setReason] = useState(givenReason)
  const [since, setSince] = useState(givenSince)
  const [shown, setShown] = useState(letter) // the letter that is looked at
  const [seen, setSeen] = useState(null) // the one before, to which the focus returns
  const found = useLetters({ queue, reason, since })

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
      <${Filters} status=${status} queue=${queue} reason=${reason} since=${since} given=${givenQueue} setQueue=${setQueue} setReason=${setReason} setSince=${setSince} />
    </div>
    <${Lines} list=${list} total=${total} show=${setShown} seen=${seen} />
    <div class="effect" aria-live="polite" id="effect"><${Effect} found=${found} isMeant=${isMeant} /></div>
  <//>`
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
