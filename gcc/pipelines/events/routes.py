"""The way of every message that is not an event for a table: the exchanges, and the queues of other consumers.

Together with the event types (types.py) this is the whole route table of spec/events.md; nobody else names routes.
Keys of topic exchanges may hold `*` (one word) and `#` (any number of words). All queues are durable. From
most of the queues below nobody takes yet: they keep their messages for the listeners, forwards and jobs of later
releases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gcc.channels.message import Binding, Route

EXCHANGES: Mapping[str, Literal["direct", "topic"]] = {
    "beat.dx": "direct",
    "coffee.dx": "topic",
    "grpc_event.tx": "topic",
    "grpc_event.dx": "direct",
    "grpc_event_error.dx": "direct",
    "branch_event.tx": "topic",
    "webengage_event.dx": "direct",
    "identity.dx": "direct",
    "shopify_event.dx": "direct",
    "affiliate.dx": "direct",
    "bigboss": "direct",
    "ab.dx": "direct",
    "upserttracker.dx": "direct",
    "jobtracker.dx": "direct",
    "alert.dx": "direct",
}

CLICKS = ("WidgetCtaClickedEvent", "WidgetElementClickedEvent", "ShareClickedEvent")
MARKETING = (
    "PhoneVerificationInitiateEvent", "OTPVerifiedEvent", "AddToCartEvent", "GoToPaymentsEvent",
    "InitiatePurchaseEvent", "CompletePurchaseEvent", "PurchaseFailedEvent", "NotificationActionEvent",
    "ProfileViewedEvent", "CollectionCreatedEvent", "ReportDownloadedEvent",
)  # fmt: skip
"""App events that go to people who run campaigns."""

ERROR = "error."
"""What the error route of a queue begins with; its name follows."""
WEBENGAGE = Route("webengage_event.dx", "webengage_event")
UPSERT_INSTAGRAM = Route("upserttracker.dx", "upsert_instagram_account_rk")
UPSERT_YOUTUBE = Route("upserttracker.dx", "upsert_youtube_account_rk")
CREDENTIALS_VALIDATE = Route("beat.dx", "credentials_validate_rk")
CREATOR_FOLLOWER_IN = Route("beat.dx", "creator_follower_in")
CREATOR_OUT = Route("beat.dx", "creator_out")
ALERT = Route("alert.dx", "alert_rk")
WEBHOOK_OUT = Route("coffee.dx", "webhook_out_rk")
NEW_ACCESS_TOKEN = Route("identity.dx", "new_access_token_rk")
ACCESS_TOKEN_EXPIRED = Route("identity.dx", "access_token_expired_rk")


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue without a table. `consumers` is how many take from it at once, in all; `taken`: some do already."""

    name: str
    routes: tuple[Route, ...]
    consumers: int
    taken: bool = False

    @property
    def bindings(self) -> tuple[Binding, ...]:
        return tuple(Binding(route, self.name) for route in self.routes)


def routes(exchange: str, keys: Sequence[str]) -> tuple[Route, ...]:
    """One exchange, many keys."""
    return tuple(Route(exchange, key) for key in keys)


def _queue(exchange: str, key: str, name: str, consumers: int, *, taken: bool = False) -> Queue:
    return Queue(name, (Route(exchange, key),), consumers, taken)


QUEUES: tuple[Queue, ...] = (
    Queue("webengage_event_q", (*routes("grpc_event.tx", MARKETING), WEBENGAGE), 3),
    # listeners
    Queue("identity_token_q", (NEW_ACCESS_TOKEN,), 5, taken=True),
    Queue("credentials_validate_q", (CREDENTIALS_VALIDATE,), 5, taken=True),
    _queue("beat.dx", "keyword_collection_rk", "keyword_collection_q", 5),
    _queue("beat.dx", "post_activity_log_bulk", "post_activity_log_bulk_q", 5),
    _queue("beat.dx", "sentiment_collection_report_in_rk", "sentiment_collection_report_in_q", 5),
    _queue("coffee.dx", "scrape_request_rk", "scrape_request_q", 2),
    # scorer
    Queue("creator_follower_in", (CREATOR_FOLLOWER_IN,), 8, taken=True),
    # API
    Queue("upsert_instagram_account_q", (UPSERT_INSTAGRAM,), 2, taken=True),
    Queue("upsert_youtube_account_q", (UPSERT_YOUTUBE,), 2, taken=True),
    _queue("jobtracker.dx", "duplicate_collection_rk", "duplicate_collection_q", 2),
    _queue("jobtracker.dx", "download_collection_rk", "download_collection_q", 2),
    _queue("jobtracker.dx", "import_from_profile_collection_rk", "import_from_profile_collection_q", 2),
    _queue("jobtracker.dx", "add_item_profile_collection_rk", "add_item_profile_collection_q", 2),
    _queue("jobtracker.dx", "add_item_post_collection_rk", "add_item_post_collection_q", 2),
    _queue("coffee.dx", "keyword_collection_report_completion", "keyword_collection_report_completion_q", 2),
    _queue("coffee.dx", "sentiment_collection_report_out_rk", "sentiment_collection_report_out_q", 2),
    # people
    Queue("alert_q", (ALERT,), 1, taken=True),
    Queue("access_token_expired_q", (ACCESS_TOKEN_EXPIRED,), 2, taken=True),
    # tenants
    Queue("webhook_out_q", (WEBHOOK_OUT,), 2, taken=True),
)

KEPT = frozenset(queue.name for queue in QUEUES if not queue.taken)
"""Nobody takes from these yet: what waits there is not late."""


def error_bindings(bindings: Sequence[Binding]) -> tuple[Binding, ...]:
    """The error queue of every queue: reached by its name, and through the queue's own exchanges.

    Not through an exchange of which one queue gets everything: there it would come as one event more.
    """
    takes_all = {binding.route.exchange for binding in bindings if binding.route.key == "#"}
    exchanges = {(binding.queue, binding.route.exchange) for binding in bindings} - {
        (binding.queue, exchange) for binding in bindings for exchange in takes_all
    }
    names = sorted({binding.queue for binding in bindings})
    return tuple(
        Binding(Route(exchange, ERROR + name), ERROR + name)
        for name in names
        for exchange in ("", *sorted(exchange for queue, exchange in exchanges if queue == name))
    )
