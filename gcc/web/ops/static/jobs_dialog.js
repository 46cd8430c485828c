// Retry or cancel the jobs that match a filter. They are counted before the button says how many.

import { html, useEffect, useState } from "./vendor/htm-preact.module.js"
import { act } from "./feed.js"
import { count, isKnown } from "./format.js"
import { ActionForm, COUNT_AFTER_MS, Choice, SINCE, sinceTime } from "./form.js"
import { MOVABLE, flowsOf } from "./jobs.js"

export function JobsForm({ verb: givenVerb, flow: givenFlow, state: givenState, code: givenCode = "", since: givenSince = "", status, close, told }) {
  const [verb, setVerb] = useState(givenVerb)
  const [flow, setFlow] = useState(givenFlow)
  const [state, setState] = useState(givenState)
  const [code, setCode] = useState(givenCode)
  const [since, setSince] = useState(givenSince)
  const [counted, setCounted] = useState({}) // {filter, things} or {refused}; {} while counting

  useEffect(() => {
    let isCurrent = true
    setCounted({})
    const timer = setTimeout(async () => {
      const filter = filterOf({ flow, state, code, since })
      const { data, refused } = await act(`/api/jobs/${verb}`, { filter, why: "", dry_run: true })
      if (isCurrent) setCounted(refused ? { refused } : { filter, things: data.things })
    }, COUNT_AFTER_MS)
    return () => {
      isCurrent = false
      clearTimeout(timer)
    }
  }, [verb, flow, state, code, since])

  const { things, filter } = counted
  const turn = (next) => {
    setVerb(next)
    setState("")
  }
  const options = { flow, status: state, code: code.trim(), since }
  const flags = Object.entries(options).flatMap(([name, value]) => (value ? [`--${name}`, value] : []))
  return html`<${ActionForm}
    title="Retry or cancel jobs"
    confirm=${`${verb === "retry" ? "Retry" : "Cancel"} ${isKnown(things) ? `${count(things)} ${nouns(things)}` : "jobs"}`}
    isDangerous=${verb === "cancel"}
    isReady=${things > 0}
    cli=${(why) => ["jobs", verb, ...flags, "--why", why]}
    send=${(why) => act(`/api/jobs/${verb}`, { filter, why, dry_run: false })}
    close=${close}
    done=${(data) => told(`${count(data.things)} ${nouns(data.things)} ${verb === "retry" ? "wait again" : "cancelled"}.`)}
  >
    <div class="fields">
      <div class="field wide-field" role="radiogroup" aria-label="What to do">
        ${["retry", "cancel"].map(
          (one) => html`<label class="radio" key=${one}>
            <input type="radio" name="verb" checked=${verb === one} onChange=${() => turn(one)} />${one === "retry" ? "Retry" : "Cancel"}
          </label>`,
        )}
      </div>
      <${Choice} id="f-flow" label="Flow" value=${flow} set=${setFlow} options=${[["", "all flows"], ...flowsOf(status).map((name) => [name, name])]} />
      <${Choice} id="f-state" label="State" value=${state} set=${setState}
        options=${[["", MOVABLE[verb].join(", ")], ...MOVABLE[verb].map((name) => [name, name])]} />
      <div class="field">
        <label for="f-code">Code of the last failure</label>
        <input id="f-code" value=${code} placeholder="any" autocomplete="off" maxlength="300" onInput=${(event) => setCode(event.target.value)} />
      </div>
      <${Choice} id="f-since" label="Since" value=${since} set=${setSince} options=${SINCE.map(([key, word]) => [key, key ? `the last ${word}` : word])} />
    </div>
    <div class="effect" aria-live="polite" id="effect">
      <${Effect} verb=${verb} flow=${flow} states=${state ? [state] : MOVABLE[verb]} code=${code.trim()} since=${since} counted=${counted} />
    </div>
  <//>`
}

function Effect({ verb, flow, states, code, since, counted: { things, refused } }) {
  if (refused) return html`<p>${refused}</p>`
  if (!isKnown(things)) return html`<p class="muted">Counting…</p>`
  const which = [
    `${states.length > 1 ? `${states.slice(0, -1).join(", ")} or ${states.at(-1)}` : states[0]} ${nouns(things)} of ${flow || (things ? "all flows" : "any flow")}`,
    code && `with the failure ${code}`,
    since && `from the last ${SINCE.find(([key]) => key === since)[1]}`,
  ]
    .filter(Boolean)
    .join(" ")
  if (things === 0) return html`<p>There are no ${which}.</p>`
  const n = html`<b class="num">${count(things)}</b>`
  return verb === "retry"
    ? html`<p>This puts ${n} ${which} back to PENDING.</p>
        <p class="muted">They are due at once and begin without failures. One whose like waits already is passed over.</p>`
    : html`<p>This ends ${n} ${which} as CANCELLED.</p>
        <p class="muted">
          ${states.includes("PROCESSING")
            ? "Attempts under way stop at their next heartbeat; what they still write is refused."
            : "They can be retried later."}
        </p>`
}

const nouns = (n) => (n === 1 ? "job" : "jobs")

function filterOf({ flow, state, code, since }) {
  const filter = { flow, status: state, code: code.trim(), since: sinceTime(since) }
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value))
}

// Retry or cancel one.
export function JobForm({ verb, id, about, flow, state, close, told }) {
  const word = verb === "retry" ? "Retry" : "Cancel"
  return html`<${ActionForm}
    title=${`${word} the job of ${about}?`}
    confirm=${`${word} this job`}
    isDangerous=${verb === "cancel"}
    cli=${(why) => ["jobs", verb, "--id", id, "--why", why]}
    send=${(why) => act(`/api/jobs/${verb}`, { filter: { ids: [id] }, why, dry_run: false })}
    close=${close}
    done=${({ things }) => told(things ? `The job of ${about} ${verb === "retry" ? "waits again" : "is cancelled"}.` : "Nothing was done: it was in another state by then, or its like waits already.")}
  >
    ${verb === "retry"
      ? html`<p>This puts the ${state} job of ${flow} back to PENDING. It is due at once and begins without failures.</p>
          <p class="muted">If its like waits already, it is passed over.</p>`
      : html`<p>This ends the job of ${flow} as CANCELLED.</p>
          <p class="muted">${state === "PROCESSING" ? "Its attempt stops at its next heartbeat; what it still writes is refused." : "It can be retried later."}</p>`}
  <//>`
}
