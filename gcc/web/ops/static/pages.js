// The pages of the dashboard, a row each: its path, its name in the navigation and its module. `Page` gets
// {status, ask, rest, query}: the status object, the way to a dialog, what follows its path, and the address's query.

import { EventsPage } from "./pages/events.js"
import { JobsPage } from "./pages/jobs.js"
import { ModelsPage } from "./pages/models.js"
import { Overview } from "./pages/overview.js"
import { ProcessesPage } from "./pages/processes.js"
import { QualityPage } from "./pages/quality.js"
import { ReplicasPage } from "./pages/replicas.js"
import { SchedulesPage } from "./pages/schedules.js"
import { ScorerPage } from "./pages/scorer.js"
import { SourcesPage } from "./pages/sources.js"
import { SyncsPage } from "./pages/syncs.js"

export const PAGES = [
  { path: "/", word: "Overview", Page: Overview },
  { path: "/jobs", word: "Jobs", Page: JobsPage },
  { path: "/sources", word: "Sources", Page: SourcesPage },
  { path: "/events", word: "Events", Page: EventsPage },
  { path: "/scorer", word: "Scorer", Page: ScorerPage },
  { path: "/models", word: "Models", Page: ModelsPage },
  { path: "/quality", word: "Quality", Page: QualityPage },
  { path: "/schedules", word: "Schedules", Page: SchedulesPage },
  { path: "/syncs", word: "Syncs", Page: SyncsPage },
  { path: "/replicas", word: "Replicas", Page: ReplicasPage },
  { path: "/processes", word: "Processes", Page: ProcessesPage },
]

// The page of a path, and what follows its own: the id in /jobs/ID.
export function pageOf(path) {
  const page = PAGES.find((one) => one.path === path || (one.path !== "/" && path.startsWith(`${one.path}/`)))
  return { page, rest: page ? path.slice(page.path.length + 1) : "" }
}
