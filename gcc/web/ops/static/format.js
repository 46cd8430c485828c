// Numbers and times as people read them. What is not known is a dash, never a zero.

export const UNKNOWN = "–"
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 })
const tenths = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 })
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" })
const clockShort = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" })

export const isKnown = (value) => value !== null && value !== undefined

export const count = (value) => (isKnown(value) ? whole.format(value) : UNKNOWN)

// 0, 0.4, 7.2, 12, 1,204: as many digits as say something
export function rate(value) {
  if (!isKnown(value)) return UNKNOWN
  return value === 0 || value >= 10 ? whole.format(value) : tenths.format(value)
}

// 840, 73K, 1.2M: where there is no room for all digits
export const compact = (value) => (isKnown(value) ? short.format(value) : UNKNOWN)

// Seconds in at most two units: "0 s", "2.4 s", "41 s", "3 min 20 s", "2 h 05 min"
export function duration(seconds) {
  if (!isKnown(seconds)) return UNKNOWN
  if (seconds < 10) return `${Number.isInteger(seconds) || seconds < 0.05 ? whole.format(seconds) : tenths.format(seconds)} s`
  const s = Math.floor(seconds)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`
}

// A length of time that was chosen, without the parts that it has not: "0.1 s", "1 min", "1 min 30 s", "1 d"
export const span = (seconds) => duration(seconds).replace(/ 0+ (s|min|h)$/, "")

// "1 call", "2 calls", "– calls"
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`

// One unit only, for ages: "now", "12 s", "4 min", "3 h", "2 d"
export function age(seconds) {
  if (seconds < 1) return "now"
  if (seconds < 60) return `${Math.floor(seconds)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86400)} d`
}

export const percent = (done, total) => `${total ? Math.floor((100 * done) / total) : 0} %`

export const absolute = (when) => clock.format(new Date(when))
export const timeOfDay = (unixS) => clockShort.format(new Date(unixS * 1000))
