// Where the reader is: the path and the query of the address, which says all that a page is asked for.
// Links of ours change it without loading anything; so does the browser's way back.

import { useEffect, useState } from "./vendor/htm-preact.module.js"

const here = () => ({ path: location.pathname, query: Object.fromEntries(new URLSearchParams(location.search)) })

export function useRoute() {
  const [route, setRoute] = useState(here())
  useEffect(() => {
    const follow = () => setRoute(here())
    addEventListener("popstate", follow)
    document.addEventListener("click", intercept)
  }, [])
  useEffect(() => document.getElementById(location.hash.slice(1))?.scrollIntoView(), [route]) // as the browser would
  return route
}

export function go(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", url)
  dispatchEvent(new PopStateEvent("popstate"))
  if (!replace) scrollTo(0, 0)
}

// path?query without what is empty.
export function address(path, query) {
  const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString()
  return words ? `${path}?${words}` : path
}

// What follows a page's path, as it was meant; it may have been typed.
export function decoded(rest) {
  try {
    return decodeURIComponent(rest)
  } catch {
    return rest
  }
}

function intercept(event) {
  const link = event.target.closest("a[href^='/']")
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  event.preventDefault()
  go(link.getAttribute("href"))
}
