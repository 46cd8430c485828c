"""Scraping: jobs in, current state and events out; and what happens once in a platform's life."""

from gcc.pipelines.declared import CONTROLS, REDIS, WORLD, Pipeline
from gcc.pipelines.scraping.pipeline import MAINTENANCE, ScrapingPipeline, scraper
from gcc.pipelines.scraping.start import FirstStart
from gcc.supervisor.policy import Restart

SCRAPING = Pipeline(
    "scraping",
    role="scraper",
    stages=("intake", "scrapers"),
    needs=(CONTROLS, WORLD),  # controls first: a pause outlives restarts
    uses=(REDIS,),
    rooms=("scraping", "sources"),
    pausable=lambda catalogue: {flow: scraper(flow) for flow in catalogue.flows} | {MAINTENANCE: MAINTENANCE},
    build=lambda context: ScrapingPipeline(context).run,
)
FIRST_START = Pipeline(
    "first start",
    role="scraper",
    stages=("intake",),
    needs=(CONTROLS, WORLD),
    restart=Restart.TRANSIENT,
    real=True,
    build=lambda context: FirstStart(context).run,
)
