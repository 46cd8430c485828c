"""What the identity service takes and answers."""

import datetime as dt
import ipaddress
import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Literal
from uuid import UUID

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field

from gcc.stores.tenant import Plan, Role
from gcc.web.api import parse
from gcc.web.api.shapes import Given, Row
from gcc.web.identity.passwords import CHARS_MAX, CHARS_MIN

_YEAR_DAY = "(19[7-9]|2[01][0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
TIME_PATTERN = (
    f"^{_YEAR_DAY}T([01][0-9]|2[0-3])(:[0-5][0-9]){{2}}(\\.[0-9]{{1,6}})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)


def _time(text: object) -> object:
    """RFC 3339, with its zone."""
    if not isinstance(text, str) or not re.fullmatch(TIME_PATTERN, text):
        raise ValueError("write a time as 2026-12-31T18:30:00Z")
    return dt.datetime.fromisoformat(text)


_CIDR = "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$"


def _cidr(text: str) -> str:
    try:
        if not re.fullmatch(_CIDR, text):
            raise ValueError
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError("write a network as 203.0.113.0/24 or 2001:db8::/32") from None


def spelled(pattern: str, way: str) -> Callable[[str], str]:
    """A check that a text fits `pattern`; one that does not is told the `way` to write it, and no expression."""
    fits = re.compile(pattern)

    def checked(text: str) -> str:
        if not fits.fullmatch(text):
            raise ValueError(way)
        return text

    return checked


def _neat(text: object) -> object:
    """As it looks: what was pasted brings blanks along, and keyboards write a letter as one character or as two."""
    return unicodedata.normalize("NFC", text.strip()) if isinstance(text, str) else text


# What breaks lines or turns the direction of the text around it; and what nobody sees.
_BREAKS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_UNSEEN = r"\u00ad\u115f\u1160\u200b-\u200f\u2060-\u2064\u3164\ufeff"
_EMAIL = rf"^[^\s@{_BREAKS}{_UNSEEN}]+@[^\s@{_BREAKS}{_UNSEEN}]+$"
_TEXT = rf"^[^{_BREAKS}]*[^\s{_BREAKS}{_UNSEEN}][^{_BREAKS}]*$"
URL_PATTERN = "^https?://[!-~]+$"
URL_WAY = "write https://host/path in visible ASCII; a host of other letters as xn--..., the rest %-encoded"

Email = Annotated[
    str,
    Field(max_length=254, examples=["asha@brand.example"], json_schema_extra={"pattern": _EMAIL}),
    AfterValidator(
        spelled(
            _EMAIL, "write one address as asha@brand.example, without a name, blanks or characters that nobody sees"
        )
    ),
    BeforeValidator(_neat),
]
Text = Annotated[
    str,
    Field(max_length=120, min_length=1, json_schema_extra={"pattern": _TEXT}),
    AfterValidator(spelled(_TEXT, "write one line with something to see in it, without control characters")),
    BeforeValidator(_neat),
]
Password = Annotated[str, Field(max_length=CHARS_MAX)]
NewPassword = Annotated[
    str,
    Field(
        description=f"{CHARS_MIN} to {CHARS_MAX} characters, no common one.",
        json_schema_extra={"minLength": CHARS_MIN, "maxLength": CHARS_MAX},
    ),
]
Id = Annotated[
    str,
    Field(max_length=36, json_schema_extra={"pattern": parse.UUID_PATTERN}),
    AfterValidator(spelled(parse.UUID_PATTERN, "write an id as 01a22d68-4d21-7f6e-80c5-8329e5747a25")),
]
Mode = Annotated[
    Literal["token", "cookie"],
    Field(
        description="cookie: the refresh token comes as a cookie that scripts cannot read, to pages of allowed origins."
    ),
]

Time = Annotated[
    dt.datetime,
    BeforeValidator(_time),
    Field(json_schema_extra={"pattern": TIME_PATTERN}, examples=["2026-12-31T18:30:00Z"]),
]
Cidr = Annotated[
    str,
    Field(max_length=43, examples=["203.0.113.0/24"], json_schema_extra={"pattern": _CIDR}),
    AfterValidator(_cidr),
]


class Strict(Given):
    model_config = pydantic.ConfigDict(strict=True)


class Login(Strict):
    email: Email
    password: Password
    mode: Mode = "token"
    device_id: Id | None = Field(None, description="Of /device/init.")


class Refresh(Strict):
    refresh_token: Annotated[str, Field(max_length=256)] | None = Field(None, description="Without it: the cookie's.")


class NewPasswords(Strict):
    old: Password
    new: NewPassword


class Device(Strict):
    client_id: Text


class Named(Row):
    id: UUID
    name: str


class NamedPartner(Row):
    id: int
    name: str


class Person(Named):
    email: str


class LoggedIn(Row):
    access_token: str
    expires_in: int = Field(description="Seconds.")
    refresh_token: str | None = Field(description="Null in cookie mode.")
    user: Person
    account: Named
    partner: NamedPartner
    plan: Plan
    role: Role


class Me(Row):
    user: Person | None = Field(description="Null for an API key and the development token.")
    account: Named | None
    partner: NamedPartner
    role: Role
    plan: Plan
    plan_until: dt.datetime | None = Field(description="When the contract of the plan ends.")
    limits: dict[str, int] = Field(description="So many a month, by module.")


class Session(Row):
    id: UUID
    user_id: UUID
    created_at: dt.datetime
    last_seen_at: dt.datetime = Field(description="To a minute.")
    ip: str | None
    agent: str | None
    current: bool


class Revoked(Row):
    revoked: int = Field(description="How many sessions ended.")


class DeviceId(Row):
    device_id: UUID


TenantRole = Literal["VIEWER", "EDITOR", "OWNER"]
InvitedRole = Literal["VIEWER", "EDITOR", "OWNER", "OPERATOR"]
Token = Annotated[str, Field(max_length=256, description="What stands behind the # of the link.")]


class Accept(Strict):
    token: Token
    password: NewPassword
    name: Text


class Reset(Strict):
    token: Token
    password: NewPassword


class Invite(Strict):
    email: Email
    role: TenantRole
    account_id: Id | None = Field(None, description="Default: yours.")


class ChangeUser(Strict):
    role: TenantRole | None = None
    name: Text | None = None
    disabled: bool | None = None


class NewName(Strict):
    name: Text


class NewApiKey(Strict):
    name: Text
    role: Literal["VIEWER", "EDITOR"] = "VIEWER"
    expires_at: Time | None = Field(None, description="Default: never.")
    cidrs: list[Cidr] = Field([], max_length=20, description="Where it may be used from; empty: anywhere.")


class NewPartner(Strict):
    name: Text
    owner_email: Email


class ChangePartner(Strict):
    name: Text | None = None
    disabled: bool | None = None


Most = Annotated[int, Field(ge=0, le=2**53)]


class Limits(Strict):
    """So many a month, in the place of what the plan includes."""

    PROFILE_VIEW: Most | None = None
    REFRESH: Most | None = None
    EXPORT: Most | None = None
    REPORT: Most | None = None


class NewContract(Strict):
    type: Literal["SAAS", "CAMPAIGN"] = "SAAS"
    plan: Literal["FREE", "SAAS", "PAID", "PRO"] = Field(description="PRO is read as PAID.")
    starts_at: Time
    ends_at: Time = Field(description="From then on it holds no more.")
    limits: Limits = Limits()


class ChangeContract(Strict):
    plan: Literal["FREE", "SAAS", "PAID", "PRO"] | None = None
    starts_at: Time | None = None
    ends_at: Time | None = None
    limits: Limits | None = None


class Verify(Strict):
    token: Annotated[str, Field(max_length=4096, description="As its owner sends it behind Bearer.")]
    ip: Annotated[str, Field(max_length=45)] | None = Field(None, description="Where it came from: keys ask.")


class Verified(Row):
    partner_id: int
    plan: Plan
    role: Role
    account_id: UUID | None
    user_id: UUID | None = Field(description="Null for an API key, as the next.")
    session_id: UUID | None
    key_id: UUID | None = Field(description="Null but for an API key.")
    expires_at: dt.datetime | None = Field(description="Of the token; null where it does not end.")


class SignedContract(Row):
    plan: Plan
    starts_at: dt.datetime
    ends_at: dt.datetime
    limits: dict[str, int]


class SignedPartner(Row):
    id: int
    name: str
    suspended: bool
    plan: Plan = Field(description="Of now: the best of the contracts that hold, else FREE.")
    plan_until: dt.datetime | None
    contracts: list[SignedContract] = Field(description="Of the type SAAS, also those that have ended.")
    limits: dict[str, int] = Field(description="Of modules, as operators have set them; they are in each contract.")


class UserRow(Row):
    id: UUID
    account_id: UUID
    email: str
    name: str
    role: Role
    disabled: bool
    created_at: dt.datetime


class AccountRow(Row):
    id: UUID
    name: str
    created_at: dt.datetime


class InvitationRow(Row):
    id: UUID
    account_id: UUID
    email: str
    role: Role
    expires_at: dt.datetime
    created_at: dt.datetime


class Invitation(InvitationRow):
    link: str | None = Field(description="Shown once; null where the call is answered again.")


class ResetLink(Row):
    link: str | None = Field(description="Shown once; null where the call is answered again.")
    expires_at: dt.datetime


class ApiKeyRow(Row):
    id: UUID
    prefix: str
    name: str
    role: Role
    cidrs: list[str]
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None = Field(description="To a minute.")
    created_at: dt.datetime


class ApiKey(ApiKeyRow):
    key: str | None = Field(
        description="Send it as Authorization: Bearer KEY. Shown once; null where the call is answered again."
    )


class Deleted(Row):
    deleted: int


class PartnerRow(Row):
    id: int
    name: str
    disabled: bool
    created_at: dt.datetime


class Partner(PartnerRow):
    link: str | None = Field(
        description="Of its first owner's invitation. Shown once; null where the call is answered again."
    )


class ContractRow(Row):
    id: UUID
    partner_id: int
    type: str
    plan: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    limits: dict[str, int]
    created_at: dt.datetime
