// Jobs: found by what the address asks for, and one of them whole at /jobs/ID.

import { html, useEffect, useMemo, useState } from "../vendor/htm-preact.module.js"
import { absolute, count, duration } from "../format.js"
import { Choice, Copyable, SINCE, Typed, sinceTime } from "../form.js"
import { JOB_STATES, MOVABLE, flowsOf } from "../jobs.js"
import { Refused, useLook } from "../look.js"
import { Ago, Cell, Icon } from "../parts.js"
import { address, go } from "../route.js"

const SHOWN = 50
const FINAL = ["COMPLETE", "FAILED", "EXPIRED", "CANCELLED"]
const TONES = {
  PENDING: ["ring", "muted"],
  PROCESSING: ["play", "accent"],
  COMPLETE: ["check", "ok"],
  FAILED: ["cross", "bad"],
  EXPIRED: ["clock", "warn"],
  CANCELLED: ["pause", "warn"],
}
const WORDS = Object.fromEntries(JOB_STATES)

export const JobsPage = ({ status, ask, rest, query }) =>
  rest ? html`<${OneJob} key=${rest} id=${rest} ask=${ask} />` : html`<${Found} status=${status} ask=${ask} query=${query} />`

const State = ({ state }) => {
  const [icon, tone] = TONES[state] ?? ["unknown", "muted"]
  return html`<span class="state" title=${state}><${Icon} name=${icon} tone=${tone} />${(WORDS[state] ?? state).toLowerCase()}</span>`
}

// What a job is about: its handle, or whatever its params are.
function subject(params) {
  if (params === null || typeof params !== "object") return JSON.stringify(params)
  const words = Object.entries(params).map(([name, value]) => (name === "handle" ? String(value) : `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`))
  return words.join(" ") || "no params"
}

// ---- the list

function Found({ status, ask, query }) {
  const { flow = "", status: state = "", code = "", text = "", since = "", before = "" } = query
  const set = (changes) => go(address("/jobs", { flow, status: state, code, text, since, ...changes }), { replace: true })
  const sinceAt = useMemo(() => sinceTime(since), [since]) // it stands still, or every look were another question
  const asked = { flow, status: state, code, text, since: sinceAt, before, limit: SHOWN }
  const filter = Object.fromEntries(Object.entries(asked).filter(([, value]) => value))
  const { data: jobs, meta, refused } = useLook("/api/jobs", filter, { everyS: before ? 30 : 3 })
  const verb = Object.keys(MOVABLE).find((one) => MOVABLE[one].includes(state)) ?? "retry"
  return html`<section class="panel page-wide found" aria-labelledby="h-found">
    <div class="head">
      <h2 id="h-found">Jobs</h2>
      <button class="small" disabled=${Boolean(text)} title=${text ? "Jobs are retried or cancelled by flow, state, code and time, not by a word in them: open one, or clear the word" : ""} onClick=${() => ask({ kind: "jobs", verb, flow, state: MOVABLE[verb].includes(state) ? state : "", code, since })}>Retry or cancel…</button>
    </div>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Typed} id="q-text" label="Handle or other param" value=${text} placeholder="any" set=${(value) => set({ text: value })} />
      <${Choice} id="q-flow" label="Flow" value=${flow} set=${(value) => set({ flow: value })} options=${[["", "all flows"], ...named(flowsOf(status), flow)]} />
      <${Choice} id="q-state" label="State" value=${state} set=${(value) => set({ status: value })} options=${[["", "any state"], ...JOB_STATES]} />
      <${Typed} id="q-code" label="Code of the last failure" value=${code} placeholder="any" set=${(value) => set({ code: value })} />
      <${Choice} id="q-since" label="Since" value=${since} set=${(value) => set({ since: value })} options=${SINCE.map(([key, word]) => [key, key ? `the last ${word}` : word])} />
    </form>
    <${Refused} refused=${refused} what="The jobs" />
    <p class="muted note" id="found" aria-live="polite">${jobs ? told(jobs, meta, text) : refused ? "" : "Looking…"}</p>
    ${jobs?.length > 0 &&
    html`<table class="rows">
      <thead>
        <tr>
          <th scope="col">About</th>
          <th scope="col">State</th>
          <th scope="col">Flow</th>
          <th scope="col" class="r" title="Times it was claimed">Attempts</th>
          <th scope="col" class="r">Came</th>
          <th scope="col" class="r">Ended</th>
          <th scope="col">Last failure</th>
        </tr>
      </thead>
      <tbody>
        ${jobs.map((job) => html`<${Line} key=${job.id} job=${job} now=${Date.parse(status.at)} />`)}
      </tbody>
    </table>`}
    ${(before || meta?.older) &&
    html`<nav class="pager" aria-label="Newer and older jobs">
      ${before && html`<a href=${address("/jobs", { flow, status: state, code, text, since })}>Newest</a>`}
      ${meta?.older && html`<a href=${address("/jobs", { flow, status: state, code, text, since, before: meta.older })}>${jobs?.length ? "Older" : "Look further back"}</a>`}
    </nav>`}
  </section>`
}

const named = (names, chosen) => [...new Set([...names, chosen])].filter(Boolean).map((name) => [name, name])

function told(jobs, { total, counted_max: max, older }, text) {
  const n = count(jobs.length)
  if (text) {
    const where = older ? "in the part looked at so far; there are older jobs" : "among all of them"
    return jobs.length ? `${n} with “${text}” ${where}.` : `None with “${text}” ${where}.`
  }
  if (total === 0) return "There is no such job."
  return `${n} of ${count(total)}${total >= max ? " or more" : ""}, newest first.`
}

function Line({ job, now }) {
  const failure = job.code ? `${job.code}: ${job.reason}` : ""
  return html`<tr>
    <th scope="row"><a class="label" href=${`/jobs/${job.id}`} title=${job.id}>${subject(job.params)}</a></th>
    <${Cell} word="State"><${State} state=${job.status} /><//>
    <${Cell} word="Flow" kind="muted"><span class="label">${job.flow}</span><//>
    <${Cell} word="Attempts" kind="r num">${count(job.attempt)}<//>
    <${Cell} word="Came" kind="r"><${Ago} at=${job.created_at} now=${now} /><//>
    <${Cell} word="Ended" kind="r">${job.ended_at && html`<${Ago} at=${job.ended_at} now=${now} />`}<//>
    <${Cell} word="Last failure" kind="grows cut" title=${failure}>${failure}<//>
  </tr>`
}

// ---- one

function OneJob({ id, ask }) {
  const [everyS, setEveryS] = useState(3)
  const { data: job, refused } = useLook(`/api/jobs/${encodeURIComponent(id)}`, {}, { everyS })
  const isOver = FINAL.includes(job?.status) && (job.history_error || isTold(job))
  useEffect(() => setEveryS(isOver ? 30 : 3), [isOver])
  if (!job)
    return html`<section class="panel page-wide">
      <p class="crumbs"><a href="/jobs">All jobs</a></p>
      ${refused ? html`<${Refused} refused=${refused} what="This job" />` : html`<p class="muted">Looking…</p>`}
    </section>`
  const verb = Object.keys(MOVABLE).find((one) => MOVABLE[one].includes(job.status))
  return html`<section class="panel page-wide one" aria-labelledby="h-job">
      <p class="crumbs"><a href="/jobs">All jobs</a> <span class="muted">/</span> <a href=${address("/jobs", { flow: job.flow })}>${job.flow}</a></p>
      <div class="head">
        <h2 id="h-job">${subject(job.params)}</h2>
        <${State} state=${job.status} />
        ${verb && html`<button class="small" id="move" onClick=${() => ask({ kind: "job", verb, id: job.id, about: subject(job.params), flow: job.flow, state: job.status })}>${verb === "retry" ? "Retry…" : "Cancel…"}</button>`}
      </div>
      <${Refused} refused=${refused} what="What is new of it" />
      <${Facts} job=${job} />
      <${Copyable} text=${`python -m gcc.supervisor jobs show ${job.id}`} />
    </section>
    ${job.code &&
    html`<section class="panel page-wide" aria-labelledby="h-failure">
      <h2 id="h-failure">${job.status === "PENDING" || job.status === "PROCESSING" ? "Last failure, before it was tried again" : "Why it ended so"}</h2>
      <p class="error-text"><b>${job.code}</b>: ${job.reason}</p>
      ${job.traceback && html`<pre class="body trace" id="traceback" tabindex="0" aria-label="Traceback, secrets masked">${job.traceback}</pre>`}
    </section>`}
    ${job.data &&
    html`<section class="panel page-wide" aria-labelledby="h-data">
      <h2 id="h-data">${job.status === "COMPLETE" ? "Result" : "Data"}</h2>
      <pre class="body short" tabindex="0" aria-label="Data of the job, secrets masked">${job.data}</pre>
    </section>`}
    <${History} job=${job} />`
}

function Facts({ job }) {
  const at = (moment) => moment && html`<time datetime=${moment}>${absolute(moment)}</time>`
  const facts = [
    ["Id", html`<span class="mono">${job.id}</span>`],
    ["Params", html`<span class="mono">${JSON.stringify(job.params)}</span>`],
    ["Platform", job.platform],
    ["Key", job.key && html`<span class="mono">${job.key}</span>`],
    ["Attempts", html`${count(job.attempt)} claimed, ${count(job.retry_count)} failed${job.lost ? `, ${count(job.lost)} lost with their worker` : ""}`],
    ["Priority", count(job.priority)],
    ["Came", at(job.created_at)],
    [job.status === "PENDING" ? "Due" : "Was due", at(job.due_at)],
    ["Claimed", at(job.picked_at)],
    ["Lease until", at(job.lease_until)],
    ["Ended", at(job.ended_at)],
    ["Expires", job.status === "PENDING" && at(job.expires_at)],
    ["Answered by", job.source && html`<a href="/sources">${job.source}</a>`],
    ["Events", html`${count(job.events)} committed with it`],
  ]
  return html`<dl class="facts columns">${facts.filter(([, value]) => value).map(([word, value]) => html`<div key=${word}><dt>${word}</dt><dd>${value}</dd></div>`)}</dl>`
}

const STORED = "Events are stored some seconds after they happened."
const isTold = (job) => job.statuses.at(-1)?.status === job.status

function History({ job }) {
  if (job.history_error)
    return html`<section class="panel page-wide" aria-labelledby="h-history">
      <h2 id="h-history">Attempts and requests</h2>
      <${Refused} refused=${job.history_error} what="What became of it, and what was asked for it," />
    </section>`
  let attempt = 0
  const statuses = job.statuses.map((told) => ({ ...told, attempt: told.status === "PROCESSING" ? ++attempt : attempt }))
  const first = statuses[0]?.at
  return html`<section class="panel page-wide" aria-labelledby="h-history">
      <h2 id="h-history">Attempts</h2>
      ${statuses.length === 0
        ? html`<p class="muted">Nothing of it is stored yet. ${STORED}</p>`
        : html`<table class="rows">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col" class="r">After</th>
                <th scope="col">State</th>
                <th scope="col" class="r">Attempt</th>
                <th scope="col">Reason</th>
              </tr>
            </thead>
            <tbody>
              ${statuses.map(
                (told) => html`<tr key=${told.seq}>
                  <th scope="row" class="num">${absolute(told.at)}</th>
                  <${Cell} word="After" kind="r num">${duration((Date.parse(told.at) - Date.parse(first)) / 1000)}<//>
                  <${Cell} word="State"><${State} state=${told.status} /><//>
                  <${Cell} word="Attempt" kind="r num">${told.attempt || ""}<//>
                  <${Cell} word="Reason" kind="grows wrap">${told.reason}<//>
                </tr>`,
              )}
            </tbody>
          </table>`}
      ${statuses.length > 0 && !isTold(job) && html`<p class="muted note">${STORED}</p>`}
    </section>
    <section class="panel page-wide" aria-labelledby="h-requests">
      <h2 id="h-requests">Requests to the outside</h2>
      ${job.requests.length === 0
        ? html`<p class="muted">None is stored. ${STORED}</p>`
        : html`<table class="rows">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Source</th>
                <th scope="col">Request</th>
                <th scope="col" class="r">Answer</th>
                <th scope="col" class="r">Size</th>
                <th scope="col" class="r">Took</th>
              </tr>
            </thead>
            <tbody>
              ${job.requests.map((asked, place) => html`<${Request} key=${place} ...${asked} />`)}
            </tbody>
          </table>`}
    </section>`
}

const Request = ({ at, source, method, uri, status, bytes, took_s, host }) =>
  html`<tr>
    <th scope="row" class="num" title=${`By ${host}`}>${absolute(at)}</th>
    <${Cell} word="Source">${source}<//>
    <${Cell} word="Request" kind="grows wrap mono">${method} ${uri}<//>
    <${Cell} word="Answer" kind="r num">${status ? html`<span class="state"><${Icon} name=${status < 400 ? "check" : "warn"} tone=${status < 400 ? "ok" : "warn"} />${status}</span>` : "none came"}<//>
    <${Cell} word="Size" kind="r num">${bytes ? `${count(bytes)} B` : ""}<//>
    <${Cell} word="Took" kind="r num">${typeof took_s === "number" && took_s < 1 ? `${Math.round(took_s * 1000)} ms` : duration(took_s)}<//>
  </tr>`
