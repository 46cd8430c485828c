"""The marts against plain Python, on a small world; `python -m tests.truth` does the same on any."""

from gcc.stores.clickhouse import ClickHouse
from tests.truth.compare import EXACT, compare

LEAST = {
    # of the detectors: precision and recall; those of YouTube's anomalies are bounded by its three digits
    "anomalies, INSTAGRAM": (0.95, 0.85),
    "anomalies, YOUTUBE": (0.95, 0.1),
    "sponsored posts, INSTAGRAM": (0.75, 0.8),
    "sponsored posts, YOUTUBE": (0.75, 0.8),
    "linked accounts": (1.0, 1.0),
}


async def test_every_mart_says_what_plain_python_makes_of_the_truth(clickhouse: ClickHouse) -> None:
    lines, found = await compare(clickhouse, 60)
    assert [line.differences for line in lines if line.equal != line.rows] == []
    assert {line.mart for line in lines} == {exact.mart for exact in EXACT}
    assert all(line.rows and line.columns for line in lines)
    for each in found:
        precision, recall = LEAST[each.detector]
        assert each.planted
        assert (each.precision >= precision, each.recall >= recall) == (True, True), each
