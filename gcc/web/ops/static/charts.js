// The two moving charts (uPlot): the last fifteen minutes, always the whole quarter of an hour wide.
// Colours are read from the style sheet when drawn, so a change of scheme only needs a redraw.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.module.js"
import { isKnown, rate, timeOfDay } from "./format.js"

const SPAN_S = 15 * 60
const HEIGHT_PX = 70
const dark = matchMedia("(prefers-color-scheme: dark)")
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

function options(width, color, onPoint) {
  const axis = {
    stroke: () => colour("--muted"),
    font: "11px system-ui, sans-serif",
    ticks: { show: false },
    gap: 4,
  }
  return {
    width,
    height: HEIGHT_PX,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6, fill: () => colour(color) } },
    scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.15)] } },
    axes: [
      { ...axis, space: 70, size: 18, grid: { show: false }, values: clockLabels },
      {
        ...axis,
        size: 46,
        splits: (_, __, ___, max) => [0, roundBelow(max)], // left alone it may find room for one line only
        grid: { stroke: () => colour("--line"), width: 1 },
        values: (_, ticks) => ticks.map(short),
      },
    ],
    series: [
      {},
      {
        stroke: () => colour(color),
        fill: () => colour(`${color}-fill`),
        width: 1.5,
        spanGaps: false,
        points: { show: true, size: 4, fill: () => colour(color), filter: (u) => isolated(u.data[1]) },
        paths: uPlot.paths.linear(),
      },
    ],
    hooks: { setCursor: [(u) => onPoint(u.cursor.idx)] },
  }
}

// "14:05"; none so near to the right edge that it would be cut off
const clockLabels = (u, ticks) =>
  ticks.map((unixS) => (u.valToPos(unixS, "x") > u.over.clientWidth - 14 ? "" : timeOfDay(unixS).slice(0, 5)))
// 1, 2 or 5 times a power of ten: 700 -> 500
const roundBelow = (max) => {
  const power = 10 ** Math.floor(Math.log10(max))
  return [5, 2, 1].map((digit) => digit * power).find((value) => value <= max)
}
const short = (value) => (value >= 10000 ? `${Math.round(value / 1000)}k` : rate(value))

// A gap in the middle stays a gap; a single value between two gaps is drawn as a dot.
function isolated(values) {
  const dots = []
  for (let i = 0; i < values.length; i += 1)
    if (isKnown(values[i]) && !isKnown(values[i - 1]) && !isKnown(values[i + 1])) dots.push(i)
  return dots
}

export function Chart({ title, unit, points, nowS, color, hint }) {
  const box = useRef(null)
  const plot = useRef(null)
  const [index, setIndex] = useState(null)
  const times = points.map((point) => point[0])
  const values = points.map((point) => point[1])

  useEffect(() => {
    const made = new uPlot(options(box.current.clientWidth, color, setIndex), [[], []], box.current)
    plot.current = made
    const size = new ResizeObserver(() => made.setSize({ width: box.current.clientWidth, height: HEIGHT_PX }))
    const recolour = () => made.redraw(false, true)
    size.observe(box.current)
    dark.addEventListener("change", recolour)
    return () => {
      size.disconnect()
      dark.removeEventListener("change", recolour)
      made.destroy()
    }
  }, [])

  const last = times[times.length - 1]
  useEffect(() => {
    plot.current.batch(() => {
      plot.current.setData([times, values], false)
      plot.current.setScale("x", { min: nowS - SPAN_S, max: nowS })
      const known = values.filter(isKnown)
      plot.current.setScale("y", { min: 0, max: Math.max(0, ...known) })
    })
  }, [last, times.length])

  const shown = isKnown(index) ? index : values.length - 1
  const value = values[shown]
  const pointed = isKnown(index) && isKnown(times[index])
  return html`<figure class="chart">
    <figcaption title=${hint}>
      <span class="chart-title">${title}</span>
      <span class="muted chart-at">${pointed ? timeOfDay(times[index]) : ""}</span>
      <span class="num"><b>${rate(value)}</b> <span class="unit">${isKnown(value) ? unit : ""}</span></span>
    </figcaption>
    <div class="plot" ref=${box} role="img" aria-label=${`${title}, last 15 minutes`}></div>
  </figure>`
}
