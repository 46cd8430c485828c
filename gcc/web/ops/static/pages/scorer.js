// The scorer of followers: what waits, how fast it goes, what came out by version and by creator, who could not be scored
// and why, and workers that were lost. What stands is of all processes, the rest of this one.

import { html } from "../vendor/htm-preact.module.js"
import { count, many, rate } from "../format.js"
import { Refused, useLook } from "../look.js"
import { Ago, Cell, Icon, zero } from "../parts.js"

const SCORER = "scoring/scorer"
const QUEUES = ["creator_follower_in", "creator_out"]
const OUTCOMES = [
  ["real", "ok", "check"],
  ["weak", "warn", "warn"],
  ["fake", "bad", "cross"],
  ["refused", "muted", "unknown"],
]

export function ScorerPage({ status, ask }) {
  const { data, refused } = useLook("/api/scorer", {}, { everyS: 5 })
  const now = Date.parse(status.at)
  return html`<section class="panel" aria-labelledby="h-scorer">
      <div class="head">
        <h2 id="h-scorer">Scorer</h2>
        <code title="The same in a terminal">python -m gcc.supervisor status</code>
        <${Pause} status=${status} ask=${ask} />
      </div>
      <${Refused} refused=${refused} what="What was scored" />
      <${Now} status=${status} here=${data?.here} />
    </section>
    <section class="panel" aria-labelledby="h-versions">
      <div class="head"><h2 id="h-versions">What stands</h2></div>
      ${data && html`<${Refused} refused=${data.stored_error} what="What stands" />`}
      ${data?.stored && html`<${Versions} ...${data} now=${now} />`}
    </section>
    <section class="panel page-wide" aria-labelledby="h-shares">
      <div class="head">
        <h2 id="h-shares">Creators scored last</h2>
        <span class="muted">on Instagram, by the names of their followers: shares of those with a score, and the bounds of 95 % for the share of fake</span>
      </div>
      ${data?.stored && html`<${Shares} list=${data.stored.shares} now=${now} />`}
    </section>
    <section class="panel page-wide" aria-labelledby="h-refused">
      <div class="head"><h2 id="h-refused">Latest without a score</h2></div>
      ${data && html`<${Refusals} list=${data.stored?.refusals ?? data.here?.refusals ?? []} now=${now} />`}
    </section>`
}

function Pause({ status, ask }) {
  const actor = status.actors.find(({ name }) => name === SCORER)
  if (!actor?.can_pause) return ""
  const isPaused = status.paused.includes(SCORER)
  return html`<button class="small" id="pause-scorer" onClick=${() => ask({ kind: isPaused ? "resume" : "pause", what: SCORER })}>
    <${Icon} name=${isPaused ? "play" : "pause"} tone="inherit" />${isPaused ? "Resume…" : "Pause…"}
  </button>`
}

function Now({ status, here }) {
  const actor = status.actors.find(({ name }) => name === SCORER)
  const waiting = (queue) => status.channels.find(({ kind, name }) => kind === "queue" && name === queue)?.used
  const lost = here ? Object.entries(here.lost) : []
  return html`<dl class="facts columns">
    <div><dt>Scored a second</dt><dd class="num">${actor ? rate(actor.rate_per_s) : html`<span class="muted">in another process</span>`}</dd></div>
    ${QUEUES.map((queue) => html`<div key=${queue}><dt>${queue === QUEUES[0] ? "Wait to be scored" : "Wait to be stored"}</dt><dd class=${`num ${zero(waiting(queue))}`}>${count(waiting(queue))}</dd></div>`)}
    ${here && html`<div><dt>Scored here since the start</dt><dd class="num">${count(Object.values(here.scored).reduce((sum, each) => sum + each, 0))}</dd></div>`}
    ${here &&
    html`<div>
      <dt title="Processes that ended, or were ended, over a slice; it was scored again">Workers lost here</dt>
      <dd id="lost">${lost.length === 0 ? html`<span class="zero num">0</span>` : lost.map(([how, times]) => html`<span class="state" key=${how}><${Icon} name="warn" tone="warn" />${many(times, `was ${how}`, `were ${how}`)}</span> `)}</dd>
    </div>`}
    ${actor?.last_error && html`<div><dt>Last trouble</dt><dd class="error-text">${actor.last_error}</dd></div>`}
  </dl>`
}

function Versions({ version, stored, now }) {
  if (stored.versions.length === 0) return html`<p class="muted">Nobody was scored yet.</p>`
  return html`<table class="rows" id="versions">
    <thead>
      <tr>
        <th scope="col">Version</th>
        <th scope="col" class="r">Followers</th>
        ${OUTCOMES.map(([word]) => html`<th scope="col" class="r" key=${word}>${word === "refused" ? "no score" : word}</th>`)}
        <th scope="col">Newest</th>
      </tr>
    </thead>
    <tbody>
      ${stored.versions.map(
        (line) => html`<tr key=${line.version}>
          <th scope="row"><span class="label">${line.version}</span>${" "}${line.version === version ? html`<span class="tag">of now</span>` : html`<span class="tag" title="They are scored again, some at a time">older</span>`}</th>
          <${Cell} word="Followers" kind="r num">${count(line.followers)}<//>
          ${OUTCOMES.map(
            ([word, tone, icon]) => html`<${Cell} key=${word} word=${word === "refused" ? "no score" : word} kind="r num"><span class="state"><${Icon} name=${icon} tone=${tone} />${count(line[word])}</span> <small class="muted">${share(line[word], line.followers)}</small><//>`,
          )}
          <${Cell} word="Newest"><${Ago} at=${line.newest} now=${now} word=" ago" /><//>
        </tr>`,
      )}
    </tbody>
  </table>`
}

const percentOf = (part) => `${(100 * part).toFixed(1)} %`

function Shares({ list, now }) {
  if (!list) return html`<p class="muted">The mart that counts them is not built yet.</p>`
  if (list.length === 0) return html`<p class="muted">No follower of a creator was scored before the mart was built.</p>`
  return html`<table class="rows" id="shares">
    <thead>
      <tr>
        <th scope="col">Creator</th>
        <th scope="col" class="r" title="Followers with a score by their names, each counted once">Scored</th>
        <th scope="col" class="r">fake</th>
        <th scope="col" class="r" title="Wilson's bounds of 95 % for the share of fake">between</th>
        <th scope="col" class="r">weak</th>
        <th scope="col" class="r">real</th>
        <th scope="col" class="r" title="Their names could not be scored; they are in no share">no score</th>
        <th scope="col" class="r" title="Followers that crawls have seen">Known</th>
        <th scope="col">Newest</th>
      </tr>
    </thead>
    <tbody>
      ${list.map(
        (line) => html`<tr key=${line.profile_id}>
          <th scope="row"><span class="label" title=${line.profile_id}>${line.handle || line.profile_id}</span></th>
          <${Cell} word="Scored" kind="r num">${count(line.n)}<//>
          ${line.fake === null ? html`<td class="muted r" colspan="4">too few for shares: under 100</td>` : html`<${Part} word="fake" at=${line} /><${Cell} word="between" kind="r num">${percentOf(line.fake_low)} and ${percentOf(line.fake_high)}<//><${Part} word="weak" at=${line} /><${Part} word="real" at=${line} />`}
          <${Cell} word="no score" kind="r num">${count(line.refused)}<//>
          <${Cell} word="Known" kind="r num">${count(line.followers_known)}<//>
          <${Cell} word="Newest">${line.scored_at && html`<${Ago} at=${line.scored_at} now=${now} word=" ago" />`}<//>
        </tr>`,
      )}
    </tbody>
  </table>`
}

function Part({ word, at }) {
  const [, tone, icon] = OUTCOMES.find(([each]) => each === word)
  return html`<${Cell} word=${word} kind="r num"><span class="state"><${Icon} name=${icon} tone=${tone} />${percentOf(at[word])}</span><//>`
}

const share = (part, all) => (all ? `${((100 * part) / all).toFixed(1)} %` : "")

function Refusals({ list, now }) {
  if (list.length === 0) return html`<p class="muted"><${Icon} name="check" tone="ok" />None.</p>`
  return html`<table class="rows" id="refusals">
    <thead>
      <tr>
        <th scope="col">Follower</th>
        <th scope="col">Of creator</th>
        <th scope="col">Why</th>
        <th scope="col">When</th>
      </tr>
    </thead>
    <tbody>
      ${list.map(
        (line, place) => html`<tr key=${place}>
          <th scope="row"><span class="label">${line.follower_handle || line.follower_profile_id || line.follower || "–"}</span></th>
          <${Cell} word="Of creator">${line.handle || line.profile_id || line.creator}<//>
          <${Cell} word="Why" kind="wrap grows">${line.refused ?? line.why}<//>
          <${Cell} word="When"><${Ago} at=${line.at} now=${now} word=" ago" /><//>
        </tr>`,
      )}
    </tbody>
  </table>`
}
