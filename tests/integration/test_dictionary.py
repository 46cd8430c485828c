"""Rule 2.7 on the engine and in Python: both read the same lists and must fold texts alike."""

from pathlib import Path

from gcc.actors.modelled import EVERYTHING
from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.dictionary import Kind, dictionary
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board

EXAMPLES: dict[tuple[Kind, str], str | None] = {
    ("category", " Beauty,  Cosmetic & Personal Care "): "beauty",
    ("category", "BEAUTY, COSMETIC AND PERSONAL CARE"): "beauty",
    ("category", "Digital creator"): None,
    ("category", "10"): "music",
    ("category", "22"): None,
    ("category", "Underwater basket weaving"): None,
    ("category", "ｂｅａｕｔｙ"): "beauty",
    ("category", "beauty"): "beauty",
    ("language", "hi-IN"): "hi",
    ("language", "Hindi"): "hi",
    ("language", "हिन्दी"): "hi",
    ("language", "hin"): "hi",
    ("language", "zh-Hans-CN"): "zh",
    ("language", "pt_BR"): "pt",
    ("language", "iw"): "he",
    ("language", "und"): None,
    ("language", "hi"): "hi",
    ("country", "India"): "IN",
    ("country", "IND"): "IN",
    ("country", "in"): "IN",
    ("country", "UK"): "GB",
    ("country", "Türkiye"): "TR",
    ("country", "Côte d'Ivoire"): "CI",
    ("country", "Atlantis"): None,
    ("country", ""): None,
}


async def test_texts_stand_for_what_the_rule_says(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """As models look them up, and as Python does."""
    clock = SystemClock()
    graph = [
        model for model in models.read(variables={"timezone": "Asia/Kolkata"}) if model.name == "mart_genre_dictionary"
    ]
    transformer = Transformer(clickhouse.builders, graph, Board(clock.now).actor("x"), clock, zone="Asia/Kolkata")
    assert [run.error for run in await transformer.run_models()] == [None]
    assert {key: dictionary().canonical(*key) for key in EXAMPLES} == EXAMPLES
    assert await _on_the_engine(clickhouse, tmp_path) == EXAMPLES


async def _on_the_engine(clickhouse: ClickHouse, folder: Path) -> dict[tuple[str, str], str | None]:
    (folder / "macros").symlink_to(models.MODELS / "macros")
    (folder / "vars.toml").symlink_to(models.MODELS / "vars.toml")
    body = "-- description: x\nselect 1"
    for name in ("mart_genre_dictionary", "mart_texts"):
        (folder / f"{name}.sql").write_text(body)
    found: dict[tuple[str, str], str | None] = {}
    for kind in ("category", "language", "country"):
        texts = [text for of, text in EXAMPLES if of == kind]
        rows = ", ".join("'" + text.replace("'", "\\'") + "'" for text in texts)
        await clickhouse.command("drop table if exists dbt.mart_texts")
        await clickhouse.command(f"create table dbt.mart_texts engine = Memory as select arrayJoin([{rows}]) as {kind}")
        (folder / "mart_asked.sql").write_text(f"-- description: x\n{{{{ canonical_words('{kind}', 'mart_texts') }}}}")
        graph = models.read(folder, variables={"timezone": "Asia/Kolkata"})
        [asked] = [model for model in graph if model.name == "mart_asked"]
        answered = {row["told"]: row["canonical"] for row in await clickhouse.rows(asked.select(EVERYTHING))}
        found |= {(kind, text): answered.get(text) for text in texts}
    return found


def test_every_label_is_a_spelling_of_what_it_calls() -> None:
    words = dictionary()
    for kind, labels in words.labels.items():
        for value, label in labels.items():
            assert words.canonical(kind, label) == words.canonical(kind, value) == value
