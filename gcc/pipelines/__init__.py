"""What flows: one folder a pipeline. The list is in the order of the data's way."""

from gcc.pipelines.analytics import ANALYTICS, ANNOUNCED
from gcc.pipelines.credentials import CREDENTIALS
from gcc.pipelines.declared import Pipeline
from gcc.pipelines.events import RELAY, SINKERS
from gcc.pipelines.scraping import FIRST_START, SCRAPING

PIPELINES: tuple[Pipeline, ...] = (FIRST_START, CREDENTIALS, SCRAPING, RELAY, SINKERS, ANALYTICS, ANNOUNCED)
