"""The jobs of the simulation are of every flow, and ask what it can be asked."""

import pytest

from gcc.pipelines.scraping.table import FLOWS
from tests.simulation.examples import EXAMPLES


def test_every_flow_has_examples() -> None:
    assert {name for name, examples in EXAMPLES.items() if examples} == set(FLOWS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_params_of_their_flow(name: str) -> None:
    for example in EXAMPLES[name]:
        FLOWS[name].params.model_validate(example.params)


def test_the_examples_end_in_every_way() -> None:
    ends = {end for examples in EXAMPLES.values() for example in examples for end in (example.ends, example.alone)}
    assert ends >= {"", "NOT_VISIBLE", "NEEDS_OWNER", "SOURCE_NOT_ENABLED", "PROFILE_NOT_FOUND", "NOT_RENEWABLE"}
