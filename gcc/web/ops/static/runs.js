// Runs of schedules: their states, and in a few words what one did.

import { count } from "./format.js"

export const RUN_STATES = {
  RUNNING: ["play", "accent", "running"],
  COMPLETE: ["check", "ok", "complete"],
  FAILED: ["cross", "bad", "failed"],
  CANCELLED: ["pause", "warn", "cancelled"],
}

const PARTS_MAX = 5
const LEFT_OUT = new Set(["table", "seconds", "snapshot_id", "error"])

// A run's detail in words: "29 models", "stale 412, enqueued 96", "swapped, rows 12,004". Errors are shown apart.
export function didWhat(detail) {
  const parts = Object.entries(detail ?? {}).filter(([name, value]) => !LEFT_OUT.has(name) && !isNothing(value)).map(inWords)
  return parts.length > PARTS_MAX ? `${parts.slice(0, PARTS_MAX).join(", ")} …` : parts.join(", ")
}

function isNothing(value) {
  return value === null || (typeof value === "object" && !Object.keys(value).length)
}

function inWords([name, value]) {
  const words = name.replaceAll("_", " ")
  if (Array.isArray(value)) return `${count(value.length)} ${words}`
  if (typeof value === "number") return `${words} ${count(value)}`
  if (typeof value !== "object") return name === "outcome" || name === "why" ? String(value) : `${words} ${value}`
  const inner = Object.entries(value).filter(([, part]) => typeof part === "number" && part > 0)
  return `${words} ${inner.length ? inner.map(([key, part]) => `${key} ${count(part)}`).join(", ") : "nothing"}`
}
