"""Jobs of the API: exports and whatever else takes longer than a request. See docs/api-jobs.md."""

from gcc.pipelines.api_jobs.pipeline import MAINTENANCE, RUNNER, ApiJobsPipeline
from gcc.pipelines.declared import CONTROLS, SCHEMA, Pipeline

API_JOBS = Pipeline(
    "api_jobs",
    role="relay",
    stages=("intake",),
    needs=(CONTROLS, SCHEMA),
    real=True,
    pausable=lambda _: {RUNNER: RUNNER, MAINTENANCE: MAINTENANCE},
    build=lambda context: ApiJobsPipeline(context).run,
)
