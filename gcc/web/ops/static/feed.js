// The websocket to the server and back again: every message is the whole status object.
// When it is gone, tries again with growing pauses; asks over HTTP whether the token is still good,
// because a browser does not tell why a websocket was refused.

const PAUSE_S_MAX = 10
const SILENT_S = 4 // messages come twice a second: this long without one is worth telling
const DEAD_S = 12 // and after this the socket is taken for dead

// `onMessage(status)`, `onLink({kind, retryAt})` with kind: connecting | open | silent | lost | locked.
export function openFeed({ onMessage, onLink }) {
  let socket = null
  let failures = 0
  let timer = 0
  let heardAt = 0
  let kind = ""

  const tell = (next, retryAt = null) => {
    if (next !== kind || retryAt !== null) onLink({ kind: (kind = next), retryAt })
  }

  function connect() {
    clearTimeout(timer)
    const scheme = location.protocol === "https:" ? "wss:" : "ws:"
    socket = new WebSocket(`${scheme}//${location.host}/ws`)
    heardAt = performance.now()
    socket.onmessage = (event) => {
      heardAt = performance.now()
      failures = 0
      tell("open")
      onMessage(JSON.parse(event.data))
    }
    socket.onclose = gone
  }

  async function gone() {
    socket = null
    failures += 1
    const pauseS = Math.min(PAUSE_S_MAX, 0.25 * 2 ** failures) * (0.6 + 0.4 * Math.random())
    timer = setTimeout(connect, pauseS * 1000)
    const retryAt = performance.now() + pauseS * 1000
    if (kind !== "locked") tell("lost", retryAt)
    const locked = await tokenRefused()
    if (socket === null && locked !== null) tell(locked ? "locked" : "lost", retryAt)
  }

  function retryNow() {
    if (socket === null) connect()
  }

  setInterval(() => {
    const silentS = (performance.now() - heardAt) / 1000
    if (socket === null) return
    if (silentS > DEAD_S) {
      socket.onclose = null
      socket.close()
      gone()
    } else if (silentS > SILENT_S && kind === "open") tell("silent")
  }, 1000)
  addEventListener("online", retryNow)
  document.addEventListener("visibilitychange", () => document.hidden || retryNow())
  tell("connecting")
  connect()
  return { retryNow }
}

// true: the server answers and refuses us; false: it lets us in; null: it does not answer.
async function tokenRefused() {
  try {
    const answer = await fetch("/api/status", { cache: "no-store", signal: AbortSignal.timeout(3000) })
    return answer.status === 401
  } catch {
    return null
  }
}

// Asks for what is known: {data, meta}, or {refused}, the sentence that says why not.
export async function look(path, query = {}, { forS = LOOK_S } = {}) {
  try {
    const answer = await fetch(`${path}?${new URLSearchParams(query)}`, { cache: "no-store", signal: AbortSignal.timeout(forS * 1000) })
    const told = await answer.json()
    return answer.ok ? { data: told.data, meta: told.meta } : { refused: told.error.detail }
  } catch (error) {
    return { refused: `the server did not answer (${error.name})` }
  }
}

const LOOK_S = 15
const ACT_S = 60 // many jobs are moved in many transactions

// Asks for an action: {data}, or {refused}, the sentence that says why not; `isLate`: no answer came in `forS` seconds.
export async function act(path, body, { forS = ACT_S } = {}) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-gcc-action": path.split("/").at(-1) },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(forS * 1000),
    })
    const told = await answer.json()
    if (answer.ok && body.why) dispatchEvent(new Event("acted")) // what is in view may have changed
    return answer.ok ? { data: told.data } : { refused: told.error.detail }
  } catch (error) {
    return { refused: `the server did not answer (${error.name}); the action log tells what was done`, isLate: error.name === "TimeoutError" }
  }
}
