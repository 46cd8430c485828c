"""Seeds of the simulation. A failing one prints itself; `-k 'seed and 7'` replays it."""

import hashlib
import subprocess
import sys

import pytest

from gcc.stores.jobs import JobStatus
from tests.simulation.platform import simulation
from tests.simulation.seeded import run

JOBS = 60


@pytest.mark.parametrize("seed", range(5))
def test_seed(seed: int) -> None:
    outcome = run(simulation(JOBS), seed)
    assert not outcome.complaints, f"seed {seed}: {outcome.complaints[:5]}"
    assert outcome.jobs[JobStatus.COMPLETE] > 0
    assert outcome.stored > 0


TRACE = """
import hashlib
from tests.simulation.platform import simulation
from tests.simulation.seeded import run
print(hashlib.sha256("\\n".join(run(simulation(20), 3).trace).encode()).hexdigest())
"""


def test_the_same_seed_gives_the_same_trace_in_a_fresh_process() -> None:
    here = hashlib.sha256("\n".join(run(simulation(20), 3).trace).encode()).hexdigest()
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", TRACE], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == here
    other = hashlib.sha256("\n".join(run(simulation(20), 4).trace).encode()).hexdigest()
    assert other != here
