"""What schedules look at: how old the models are, how many events came, whether all that stands is right.

In: freshness.py, volume.py, model_tests.py. Out: their findings as rows of `dbt.model_test`; the detail of a run, which
says what is not as it should be; and an alert for each thing that was well at the last look. A look that finds
something is done all the same: that it found it is no failure of its own. Raises Transient where a store is away.
"""

from collections.abc import Mapping
from typing import Any

from gcc.actors.scheduler import Tell, Trouble
from gcc.actors.transformer import Transformer
from gcc.actors.warehouse import Queries
from gcc.clock import Clock
from gcc.pipelines.analytics import freshness, volume
from gcc.pipelines.analytics.freshness import AGE_S_MAX
from gcc.pipelines.analytics.model_tests import Finding, ModelTests

Detail = Mapping[str, Any]
SHOWN_MAX = 50
"""Of what is wrong, in the detail of a run; `dbt.model_test` has all of it."""


class Watching:
    """`by_name()`: what schedules call. One caller a look at a time."""

    def __init__(self, queries: Queries, transformer: Transformer, tests: ModelTests, clock: Clock, tell: Tell) -> None:
        self._queries = queries
        self._transformer = transformer
        self._tests = tests
        self._clock = clock
        self._tell = tell
        self._known: dict[str, frozenset[str]] = {}  # what was wrong at the last look, by schedule

    def by_name(self) -> Mapping[str, Any]:
        return {
            "freshness_check": self.freshness,
            "volume_check": self.volume,
            "model_tests": self.test_models,
        }

    async def freshness(self) -> Detail:
        """Each tag's promise, and the models that are late. The alert names the tags: STALE."""
        await self._transformer.prepare()
        ages = await freshness.ages(self._queries, self._transformer.models)
        late = [age for age in ages if not age.ok]
        await self._tests.note(
            [Finding(age.model, "freshness", age.tag, "warn", int(not age.ok), str(age)) for age in ages]
        )
        by_tag = {tag: [age for age in late if age.tag == tag] for tag in AGE_S_MAX}
        await self._say("freshness_check", "STALE", {tag: freshness.told(of) for tag, of in by_tag.items() if of})
        models = [{"model": age.model, "tag": age.tag, "said": str(age)} for age in late[:SHOWN_MAX]]
        return {"looked_at": len(ages), "late": len(late), **({"models": models} if models else {})}

    async def volume(self) -> Detail:
        """Event types of which more or fewer came than is usual. The alert: UNUSUAL."""
        found = await volume.volumes(self._queries, self._clock.now())
        odd = {f"_e.{each.table}": str(each) for each in found if not each.ok}
        await self._tests.note(
            [
                Finding(f"_e.{each.table}", "volume", "event_id", "warn", int(not each.ok), str(each))
                for each in found
                if each.low is not None
            ]
        )
        await self._say("volume_check", "UNUSUAL", {table: f"{table}: {said}" for table, said in odd.items()})
        return {"looked_at": len(found), "unusual": len(odd), **({"tables": odd} if odd else {})}

    async def test_models(self) -> Detail:
        """Every rule of every model. Errors stop the model's sync until a look finds them mended; the alert: WRONG."""
        findings = await self._tests.run()
        failed = [finding for finding in findings if finding.failed]
        by_model: dict[str, list[str]] = {}
        for finding in failed:
            by_model.setdefault(finding.model, []).append(str(finding))
        wrong = {model: f"{model}: {'; '.join(said)}" for model, said in by_model.items()}
        await self._say("model_tests", "WRONG", wrong)
        warnings = sum(finding.found > 0 for finding in findings) - len(failed)
        models = list(wrong.values())[:SHOWN_MAX]
        told = {"tests": len(findings), "failed": len(failed), "warnings": warnings}
        return {**told, **({"models": models} if models else {})}

    async def _say(self, schedule: str, kind: str, wrong: Mapping[str, str]) -> None:
        """An alert of what was not wrong at the last look."""
        known = self._known.get(schedule, frozenset())
        new = [said for what, said in wrong.items() if what not in known]
        if new:
            await self._tell(Trouble(kind, schedule, self._clock.now(), "; ".join(new)))
        self._known[schedule] = frozenset(wrong)
