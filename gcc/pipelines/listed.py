"""All pipelines, in the order of the data's way."""

from gcc.pipelines.analytics import ANALYTICS, ANNOUNCED
from gcc.pipelines.api_jobs import API_JOBS
from gcc.pipelines.credentials import CREDENTIALS
from gcc.pipelines.declared import Pipeline
from gcc.pipelines.events import RELAY, SINKERS
from gcc.pipelines.scoring.pipeline import SCORING
from gcc.pipelines.scraping import FIRST_START, SCRAPING
from gcc.pipelines.webhooks import WEBHOOKS

PIPELINES: tuple[Pipeline, ...] = (
    FIRST_START, CREDENTIALS, SCRAPING, SCORING, API_JOBS, WEBHOOKS, RELAY, SINKERS, ANALYTICS, ANNOUNCED,
)  # fmt: skip
