"""The fuzzer of cost, briefly: by calls instead of time, so the same on every machine.

`tests/fuzz/fuzz_cost.py` says how to search for longer.
"""

import random

import pytest

from revocation.jwt import compact
from tests.fuzz import fuzz_cost
from tests.fuzz.fuzz_cost import SEEDS, TARGETS, Genome, Search, calls
from tests.unit.test_json_laws import slowly

MAX_CALLS = 8.0
"""Beside what C does, which is not counted: so more than `MAX_RATIO` of the time."""
SIZES = [(name, size) for name, target in TARGETS.items() for size in target.sizes]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_no_byte_takes_many_more_calls_than_a_customers(name, size):
    """What was found before, and a short search from there."""
    search = Search(name, size, calls, random.Random(7))
    for _ in range(60):
        search.step()
    found = search.found
    assert found.ratio <= MAX_CALLS, found


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_few_and_small(name):
    path = SEEDS / f"{name}.json"
    assert path.stat().st_size < 8_192
    assert len(fuzz_cost.read_seeds(name)) <= len(TARGETS[name].sizes)


def test_what_costs_more_would_be_found(monkeypatch):
    """With a call in Python for each number and object, as once."""
    monkeypatch.setattr(compact, "read_json", slowly)
    found = Search("payload", 60_000, calls, random.Random(7)).found
    assert found.ratio > MAX_CALLS


def test_a_genome_makes_input_of_any_size():
    genome = Genome(b"[", b"1,", b"0]")
    assert genome.made(9) == b"[1,1,1,0]"
    assert Genome.read(genome.written()) == genome
