"""Which region a command asks that asks one: of all, by what is typed and set."""

import pytest

from revocation.errors import SettingsError
from revocation.settings import OneRegionSettings

TWO = {"eu": "redis://eu.example", "us": "redis://us.example"}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"region": "us", "regions": TWO}, {"region": "us", "store_url": TWO["us"]}),
        (
            {"regions": {"eu": "redis://only.example"}},
            {"region": "eu", "store_url": "redis://only.example"},
        ),
        ({"region": "us", "regions": TWO, "store_url": "redis://own.example"}, {}),
    ],
    ids=["chosen", "the only one", "a store of its own"],
)
def test_a_region_is_found_among_all(given, found):
    assert OneRegionSettings(**given).found == found


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"regions": TWO}, "no region is chosen: give --region one of eu, us"),
        ({"region": "mars", "regions": TWO}, "no region mars: give --region one of eu"),
        ({"region": "eu"}, "no store is configured: set REVOCATION_CONFIG"),
    ],
)
def test_a_region_that_is_not_found_is_asked_for(given, complaint):
    with pytest.raises(SettingsError, match=complaint):
        _ = OneRegionSettings(**given).found
