"""What a limit is of, as verbs and pages tell it beside its name."""

import pytest

from gcc.config import Settings
from gcc.pipelines.scraping.limiting import meaning
from gcc.pipelines.scraping.table import Catalogue, limits


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("graphapi", "all calls of graphapi, whoever asks"),
        ("graphapi@graphapi-1", "all calls of graphapi, with credential graphapi-1"),
        ("graphapi@@", "all calls of graphapi, with its one app"),
        ("graphapi@@1234", "all calls of graphapi, with app 1234"),
        ("ytapi.search", "bucket search of ytapi, whoever asks"),
        ("ytapi.search@*", "bucket search of ytapi, with each credential alone"),
        (
            "beat_server_refresh_profile_insta_daily",
            "full refreshes of Instagram profiles that somebody asks for, in a day",
        ),
        (
            "beat_server_refresh_profile_insta_per_handle_asha",
            "full refreshes of Instagram profiles that somebody asks for, of a profile: asha",
        ),
    ],
)
def test_a_limits_name_in_words(name: str, words: str) -> None:
    assert meaning(name) == words


def test_every_declared_limit_has_words_of_its_own() -> None:
    names = limits(Settings(), Catalogue())
    assert len({meaning(name) for name in names}) == len(names)
