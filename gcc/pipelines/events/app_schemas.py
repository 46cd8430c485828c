"""What events look like on the wire, part two: apps, webhooks of other companies, other services of the platform.

Bodies that their senders change at will stay one JSON column each (`event_params`, `event_data`, ...): the tables
type what is asked for beside it. What such a body carries in its nested objects needs no field here.
"""

from typing import Annotated, Any

import msgspec

from gcc.pipelines.events.schemas import Event, Int32, Int64, Metrics, Time, Values

MessageName = Annotated[str, msgspec.Meta(pattern="^[A-Z][A-Za-z0-9]*Event$")]
"""App events are named as their messages are, and published with the name as routing key."""


class AppHeader(Event):
    """Who sent it, from which device and campaign: the header of the gRPC `Events`."""

    session_id: str = ""
    bb_device_id: str = ""
    user_id: str = ""
    device_id: str = ""
    android_advertising_id: str = ""
    client_id: str = ""
    channel: str = ""
    os: str = ""
    os_version: str = ""
    app_language: str = ""
    app_version: str = ""
    current_url: str = ""
    merchant_id: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_term: str = ""
    utm_content: str = ""
    ppId: str = ""


class AppEvent(AppHeader, kw_only=True):
    event_name: MessageName
    event_params: Values = {}


class ClickEvent(AppEvent):
    """Its three may also stand in `event_params`."""

    page: str = ""
    element: str = ""
    action: str = ""


class LaunchReferEvent(AppEvent):
    """The app was opened by a referral. Its two may also stand in `event_params`."""

    referral_code: str = ""
    referrer_user_id: str = ""


class ErrorEvent(AppHeader, kw_only=True):
    """An app event that was not taken, and why; what cannot be read stands in `event_params.raw`."""

    event_name: str = ""
    event_params: Values = {}
    error: str


class BranchEvent(Event, kw_only=True):
    """The webhook of Branch, by its own names (full event ontology). Its times are in milliseconds."""

    id: str = ""
    name: str
    timestamp: Int64 | None = None
    customer_event_alias: str = ""
    organization_id: str = ""
    organization_name: str = ""
    attributed: bool | None = None
    days_from_last_attributed_touch_to_event: Int64 | None = None
    hours_from_last_attributed_touch_to_event: Int64 | None = None
    minutes_from_last_attributed_touch_to_event: Int64 | None = None
    seconds_from_last_attributed_touch_to_event: Int64 | None = None
    last_attributed_touch_type: str = ""
    last_attributed_touch_timestamp: Int64 | None = None
    last_attributed_touch_data: Values = {}
    last_cta_view_timestamp: Int64 | None = None
    last_cta_view_data: Values = {}
    deep_linked: bool | None = None
    first_event_for_user: bool | None = None
    existing_user: bool | None = None
    install_activity_timestamp: Int64 | None = None
    store_install_begin_timestamp: Int64 | None = None
    referrer_click_timestamp: Int64 | None = None
    user_data: Values = {}
    event_data: Values = {}
    content_items: list[Any] = []
    custom_data: Values = {}


class WebengageEvent(Event, kw_only=True):
    user_id: str
    event_name: str = ""
    event_data: Values


class ShopifyEvent(Event, kw_only=True):
    """A webhook: `topic` and `shop_domain` are of its headers, `event_data` is its body."""

    topic: str
    shop_domain: str
    webhook_id: str = ""
    event_data: Values


class GraphyEvent(Event, kw_only=True):
    """A webhook of the course platform."""

    event_name: str
    user_id: str = ""
    event_data: Values


class EntityMetric(Event, kw_only=True):
    """What Vidooly measured of a channel, a video or a brand."""

    source: str = "vidooly"
    platform: str
    entity_type: str
    entity_id: str
    metrics: Metrics
    dimensions: Values = {}


class AbAssignment(Event):
    experiment: str
    variant: str
    user_id: str = ""
    bb_device_id: str = ""
    dimensions: Values = {}


class BigbossVoteLog(Event):
    user_id: str
    contestant: str
    votes: Int32 = 1
    week: str = ""
    device_id: str = ""
    channel: str = ""


class AffiliateOrderEvent(Event):
    """The order as it is now: the latest one of a (store, order_id) replaces those before."""

    order_id: str
    store: str
    status: str
    user_id: str = ""
    referral_code: str = ""
    currency: str = ""
    amount: float | None = None
    commission: float | None = None
    ordered_at: Time | None = None
    order_data: Values = {}


class PartnerActivityLog(Event):
    """What a user of a partner did (coffee's activity tracker)."""

    partner_id: Int64
    user_id: str
    activity_type: str
    metadata: Values = {}
