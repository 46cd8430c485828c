// What a page asks for beside the status object: asked again every few seconds while somebody looks, and at once when
// something was done. What was known stays in view beside the sentence that says why there is nothing newer.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.module.js"
import { look } from "./feed.js"
import { Icon } from "./parts.js"

const REST = 4 // a look that took long is made again after so many times its time

export function useLook(path, query = {}, { everyS = 3, delayMs = 0, forS } = {}) {
  const question = JSON.stringify([path, query])
  const [known, setKnown] = useState({ question })
  const pause = useRef(0) // as it is now: who asks may slow down
  pause.current = everyS
  useEffect(() => {
    let isCurrent = true
    let timer = 0
    const ask = async () => {
      clearTimeout(timer)
      const beganMs = performance.now()
      if (!document.hidden) {
        const { data, meta, refused } = await look(path, query, { forS })
        if (!isCurrent) return
        setKnown((before) => (refused ? { ...(before.question === question ? before : {}), question, refused } : { question, data, meta }))
      }
      clearTimeout(timer)
      timer = setTimeout(ask, Math.max(pause.current * 1000, REST * (performance.now() - beganMs)))
    }
    timer = setTimeout(ask, delayMs)
    addEventListener("acted", ask)
    document.addEventListener("visibilitychange", ask)
    return () => {
      isCurrent = false
      clearTimeout(timer)
      removeEventListener("acted", ask)
      document.removeEventListener("visibilitychange", ask)
    }
  }, [question])
  return known.question === question ? known : {}
}

export const Refused = ({ refused, what }) =>
  refused ? html`<p class="refusal" role="alert"><${Icon} name="warn" tone="bad" />${what} cannot be told now: ${refused}</p>` : ""
