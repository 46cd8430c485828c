// What is well and what is not, in words: pure functions of the status object.

import { duration, isKnown } from "./format.js"

export const LAG_S_HIGH = 60
export const QUEUE_LATE_S = 60

const ACTOR_STATES = {
  starting: ["up", "accent"],
  running: ["dot", "ok"],
  waiting: ["ring", "muted"],
  standby: ["ring", "muted"],
  paused: ["pause", "warn"],
  backoff: ["warn", "warn"],
  draining: ["down", "accent"],
  finished: ["check", "muted"],
  failed: ["cross", "bad"],
}

// What is wrong with an actor comes before what it does: [icon, tone, word].
export function condition(actor, isPaused) {
  if (actor.state === "failed") return ["cross", "bad", "failed"]
  if (actor.stuck) return ["clock", "bad", "stuck"]
  if (actor.storm) return ["again", "bad", "restart storm"]
  if (isPaused && actor.state !== "finished") return ["pause", "warn", actor.state === "paused" ? "paused" : "pausing"]
  if (actor.breaker === "open") return ["switch", "warn", "breaker open"]
  if (actor.breaker === "half-open") return ["switch", "warn", "half-open"]
  return [...(ACTOR_STATES[actor.state] ?? ["unknown", "muted"]), actor.state]
}

// Worst first.
const TROUBLES = {
  failed: "has failed",
  stuck: "is stuck",
  "restart storm": "is restarted again and again",
  "breaker open": "waits: its breaker is open",
  "half-open": "tries again: its breaker is half-open",
  backoff: "is in backoff",
  late: "",
  paused: "is paused",
  pausing: "is being paused",
}
const RANKS = Object.keys(TROUBLES)

// What is not well, in words, the worst first; empty when all is.
export function troubles(status) {
  const found = []
  for (const actor of status.actors) {
    const word = condition(actor, status.paused.includes(actor.name))[2]
    if (word in TROUBLES) found.push([word, `${actor.name} ${TROUBLES[word]}`])
    else if (isKnown(actor.lag_s) && actor.lag_s > LAG_S_HIGH) found.push(["late", `${actor.name} lags by ${duration(actor.lag_s)}`])
  }
  for (const use of status.channels)
    if (use.kind === "queue" && use.consumer && use.oldest_s > QUEUE_LATE_S) found.push(["late", `${use.name} waits for ${duration(use.oldest_s)}`])
  for (const told of status.differing_limits) found.push(["late", `limits differ: ${told}`])
  for (const name of pausedElsewhere(status)) found.push(["paused", `${name} is paused`])
  if (!status.drain)
    for (const role of status.roles) if (role.state !== "running") found.push(["paused", `role ${role.name} is ${role.state}`])
  found.sort(([a], [b]) => RANKS.indexOf(a) - RANKS.indexOf(b))
  const sentences = found.map(([, sentence]) => sentence)
  if (status.state === "unready") return [`the database is away: ${status.counts_error}`, ...sentences]
  return status.counts_error ? [`the counts are missing: ${status.counts_error}`, ...sentences] : sentences
}

// Whether a channel or queue holds nothing, and nobody who works takes from it: many, and they tell nothing.
export function idleUses(status) {
  const busy = new Set(status.actors.filter((actor) => !actor.idle).map((actor) => actor.name))
  return ({ used, consumer, kind }) => used === 0 && (consumer ? !busy.has(consumer) : kind === "queue")
}

// Pauses of actors that have no line here: they run in other processes, or come back with their role.
export const pausedElsewhere = (status) => status.paused.filter((name) => !status.actors.some((actor) => actor.name === name))

// Names are paths: a group gets a line of its own unless it is an actor itself. Order of appearance. A scraper is called
// by its flow, which needs all the room.
export function tree(actors) {
  const groups = new Map()
  for (const actor of actors) {
    const [group, ...rest] = actor.name.split("/")
    if (!groups.has(group)) groups.set(group, { actor: null, members: [] })
    if (rest.length === 0) groups.get(group).actor = actor
    else groups.get(group).members.push({ actor, label: rest.at(-1).replace(/^scraper (?=\w+_)/, ""), depth: rest.length })
  }
  return [...groups].flatMap(([label, { actor, members }]) => [{ actor, label, depth: 0 }, ...members])
}
