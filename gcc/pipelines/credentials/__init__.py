"""Credentials that come by message: new tokens of the identity service, and wishes to have one probed."""

from gcc.pipelines.credentials.pipeline import CredentialsPipeline
from gcc.pipelines.declared import BROKER, CONTROLS, SCHEMA, Pipeline
from gcc.pipelines.events.pipeline import LISTENERS

CREDENTIALS = Pipeline(
    "credentials",
    role="scraper",
    stages=("intake",),
    needs=(CONTROLS, SCHEMA),
    uses=(BROKER,),
    pausable=lambda _: LISTENERS,
    build=lambda context: CredentialsPipeline(context).run,
)
