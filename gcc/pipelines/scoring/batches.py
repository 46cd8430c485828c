"""The consumer of creator_follower_in: followers in, their scores into the outbox.

In: deliveries, each line a follower (asked.py). Out: an event each on creator_out, committed before the deliveries are
acknowledged: who is delivered again is answered by the same event again. A line that names nobody is a dead letter; who
is to be forgotten is passed over, and so is who is to be scored again by a newer version than ours. A slice over which
a worker died is scored again, then in ever smaller slices, until the follower over which they die is alone: that one is
answered without a score and with the reason, all others with theirs. What is known stays known until its batch is
committed, so a batch that was cut short goes on where it was.
"""

import datetime as dt
import uuid
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import trio

from gcc.actors import bugs
from gcc.channels.deadletters import Burial, DeadLetters
from gcc.channels.message import EVENT_BYTES_MAX, Delivery, Frame, frames
from gcc.channels.outbox import Emit
from gcc.clock import Clock
from gcc.errors import Transient
from gcc.pipelines.events.reading import lines
from gcc.pipelines.events.routes import CREATOR_OUT
from gcc.pipelines.events.sinks import YIELD_BYTES
from gcc.pipelines.events.types import encode
from gcc.pipelines.scoring.asked import Asked, Key, Refused, answered, read
from gcc.pipelines.scoring.record import Scored
from gcc.pipelines.scoring.scorer import SCORER_VERSION
from gcc.pipelines.scoring.tally import Tally
from gcc.pipelines.scoring.workers import Scorers, WorkerDied
from gcc.pipelines.scraping.work import Erasures
from gcc.stores.erasures import Leaving
from gcc.supervisor.lifecycle import Actor, one_line

SLICES = (500, 500, 32, 2, 1, 1)
"""How many are scored at once, by how many workers have died over slices that they were in; after the last, none."""
MESSAGE_LINES_MAX = 20_000
"""What has more is a dead letter: it could not be scored within the time that a batch has, ever."""
REMEMBERED_MAX = 100_000  # followers of batches that were cut short: no fewer than the largest batch has

Creators = Callable[[Collection[tuple[str, str]]], Awaitable[Mapping[tuple[str, str], str]]]
"""The ids of those of (platform, handle in small letters) that are known. Transient."""


class _Line(NamedTuple):
    asked: Asked
    delivery: Delivery
    text: bytes


class Batches:
    """See `gcc.actors.consumer.Handler`. Raises Transient."""

    def __init__(
        self,
        scorers: Scorers,
        emit: Emit,
        dead_letters: DeadLetters,
        erasures: Erasures,
        clock: Clock,
        tally: Tally,
        actor: Actor,
        creators: Creators,
    ) -> None:
        self._scorers = scorers
        self._emit = emit
        self._dead_letters = dead_letters
        self._erasures = erasures
        self._clock = clock
        self._tally = tally
        self._actor = actor
        self._creators = creators
        self._known: OrderedDict[Key, Scored] = OrderedDict()  # not committed yet
        self._deaths: OrderedDict[Key, tuple[int, str]] = OrderedDict()  # and the last; of those that are not known

    async def handle(self, batch: Sequence[Delivery]) -> int:
        burials: list[Burial] = []
        found = await self._not_erased(await self._identified(await self._read(batch, burials)))
        asked = self._of_known_creators(found, burials)
        scored = await self._answers(asked)
        erased = await self._erased(asked)  # meanwhile, too
        answers = [(each, answer) for each, answer in scored if not _tells_of(each, erased[each.platform])]
        await self._dead_letters.bury(burials)
        events = (encode(answered(each, answer)) for each, answer in answers)
        packed = frames(CREATOR_OUT, events, self._clock.new_id)
        await self._emit([replace(frame, counted=0) for frame in packed])
        self._tally.committed(answers)
        for each in asked:
            self._known.pop(each.key, None)
        return len(answers)

    async def _read(self, batch: Sequence[Delivery], burials: list[Burial]) -> list[_Line]:
        """Each follower that is asked for once, however often it came."""
        found: dict[uuid.UUID, _Line] = {}
        now = self._clock.now()
        unyielded = 0  # bytes read since others were let run
        for delivery in batch:
            if delivery.frame.body.count(b"\n") >= MESSAGE_LINES_MAX:
                why = f"it has more than {MESSAGE_LINES_MAX:,} lines: send them in several messages"
                burials.append(_burial(delivery, delivery.frame.body, why, delivery.frame.events))
                continue
            blank = True
            for number, text in lines(delivery.frame.body):
                blank = False
                unyielded += len(text)
                if unyielded > YIELD_BYTES:
                    await trio.lowlevel.checkpoint()
                    unyielded = 0
                try:
                    asked = _read_line(text, delivery.frame, number, now)
                except Refused as refused:
                    burials.append(_burial(delivery, text, str(refused)))
                    continue
                if asked.again_for > int(SCORER_VERSION):
                    self._tally.left += 1  # to a newer scorer: as it stands, ours is as good an answer
                    continue
                same = found.get(asked.id)
                if same is not None and same.asked.whom != asked.whom:  # its id is no id of its own
                    asked = replace(asked, id=uuid.uuid5(delivery.frame.id, str(number)))
                found[asked.id] = _Line(asked, delivery, text)
            if blank:
                burials.append(_burial(delivery, delivery.frame.body, "it asks for no follower: it is blank"))
        return list(found.values())

    async def _identified(self, found: list[_Line]) -> list[_Line]:
        """With the ids of creators of whom the handle is told, where that is known."""
        unknown = {_creator(line.asked) for line in found if not line.asked.creator_id}
        ids = await self._creators(unknown) if unknown else {}
        return [
            line._replace(asked=replace(line.asked, creator_id=ids.get(_creator(line.asked), "")))
            if not line.asked.creator_id
            else line
            for line in found
        ]

    def _of_known_creators(self, found: list[_Line], burials: list[Burial]) -> list[Asked]:
        asked = []
        for line in found:
            if line.asked.creator_id:
                asked.append(line.asked)
            else:
                why = f"creator {line.asked.creator!r} was never crawled: crawl it and replay this, or tell profile_id"
                burials.append(_burial(line.delivery, line.text, why))
        return asked

    async def _not_erased(self, found: list[_Line]) -> list[_Line]:
        erased = await self._erased([line.asked for line in found])
        return [line for line in found if not _tells_of(line.asked, erased[line.asked.platform])]

    async def _erased(self, asked: Sequence[Asked]) -> Mapping[str, Leaving]:
        """Of each platform."""
        return {platform: await self._erasures.of(platform) for platform in sorted({each.platform for each in asked})}

    async def _answers(self, asked: Sequence[Asked]) -> list[tuple[Asked, Scored]]:
        try:
            while pending := await self._pending(asked):
                troubles: list[Transient] = []
                async with trio.open_nursery() as nursery:
                    for part in self._slices(pending):
                        nursery.start_soon(self._score, part, troubles)
                if troubles:  # by itself: in a group it would be taken for a bug, and its message for broken
                    raise troubles[0]
            return [(each, self._known[each.key]) for each in asked]
        finally:
            self._forget_the_oldest()

    async def _pending(self, asked: Sequence[Asked]) -> list[Asked]:
        """Who is not known; with each over whom workers were lost to the end, which is known by that."""
        pending = [each for each in asked if each.key not in self._known]
        suspects = [each for each in pending if self._deaths_of(each) == len(SLICES)]
        if not suspects:
            return pending
        if trouble := await self._scorers.trouble():
            self._count(suspects, -1)  # once more, alone
            raise _nobody_scored(trouble)
        for each in suspects:
            deaths, why = self._deaths.pop(each.key)
            told = f"{deaths} workers were lost over it, the last {SLICES.count(1)} over it alone: {why}"
            self._known[each.key] = Scored(None, {}, (), None, (), SCORER_VERSION, told)
        return [each for each in pending if each.key not in self._known]

    def _deaths_of(self, asked: Asked) -> int:
        return self._deaths.get(asked.key, (0, ""))[0]

    def _slices(self, pending: Sequence[Asked]) -> Iterator[list[Asked]]:
        """Those over whom as many have died stand together."""
        alike: defaultdict[int, list[Asked]] = defaultdict(list)
        for each in pending:
            alike[self._deaths_of(each)].append(each)
        for deaths, part in alike.items():
            size = SLICES[deaths]
            yield from (part[begin : begin + size] for begin in range(0, len(part), size))

    async def _score(self, part: Sequence[Asked], troubles: list[Transient]) -> None:
        """Remember what becomes of each; of a slice that failed, how often it did."""
        try:
            scored = await self._scorers.score([each.follower for each in part])
            if len(scored) != len(part):
                raise AssertionError(f"the scorer answered {len(scored)} of {len(part)} followers")
        except Transient as error:
            troubles.append(error)
        except WorkerDied as died:
            self._tally.worker_lost("slow" if died.slow else "killed")
            await self._failed(part, died, troubles)
        except Exception as error:
            bugs.told(self._actor, error, followers=len(part))
            self._tally.worker_lost("failed")
            await self._failed(part, error, troubles)
        else:
            self._known.update((each.key, answer) for each, answer in zip(part, scored, strict=True))
            for each in part:
                self._deaths.pop(each.key, None)

    async def _failed(self, part: Sequence[Asked], error: Exception, troubles: list[Transient]) -> None:
        """Where nobody is scored it is the machine: a refusal would stand until the next version of the scorer. Cut
        short before that is known, they stay suspected, for the next time."""
        self._actor.erred(error)
        self._count(part, 1, one_line(error))
        if self._deaths_of(part[0]) < len(SLICES) and (trouble := await self._scorers.trouble()):
            self._count(part, -1)
            troubles.append(_nobody_scored(trouble))

    def _count(self, part: Sequence[Asked], more: int, why: str = "") -> None:
        for each in part:
            deaths, before = self._deaths.pop(each.key, (0, ""))
            if deaths + more:
                self._deaths[each.key] = deaths + more, why or before

    def _forget_the_oldest(self) -> None:
        for remembered in (self._known, self._deaths):
            while len(remembered) > REMEMBERED_MAX:
                remembered.popitem(last=False)


def _nobody_scored(trouble: str) -> Transient:
    return Transient(f"not even a harmless follower is scored: {trouble}")


def _read_line(text: bytes, frame: Frame, number: int, now: dt.datetime) -> Asked:
    if len(text) > EVENT_BYTES_MAX:
        raise Refused(f"it has {len(text):,} bytes, and a follower at most {EVENT_BYTES_MAX:,}")
    return read(text, frame, number, now)


def _creator(asked: Asked) -> tuple[str, str]:
    return asked.platform, asked.creator.lower()


def _tells_of(asked: Asked, erased: Leaving) -> bool:
    """Also as the creator; who is known by a handle alone is whoever has, or had, that."""
    follower = asked.follower.handle.lower()
    return (
        asked.creator_id in erased.ids
        or (not asked.creator_id and asked.creator.lower() in erased.names)
        or asked.follower_id in erased.ids
        or (not asked.follower_id and follower in erased.names)
    )


def _burial(delivery: Delivery, text: bytes, why: str, events: int = 1) -> Burial:
    return Burial(delivery.queue, delivery.frame, text, events, why, 0)
