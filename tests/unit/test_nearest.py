"""Suggestions for unknown names."""

import difflib

import pytest

from revocation.nearest import nearest

TENANTS = [f"https://login.example/{number:08x}/v2.0" for number in range(5_000)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://login.example/00000a2f/v2.0/", TENANTS[0xA2F]),
        ("http://login.example/00000a2f/v2.0", TENANTS[0xA2F]),
        ("HTTPS://LOGIN.EXAMPLE/00000A2F/V2.0", TENANTS[0xA2F]),
        ("https://login.example/00000a2f", TENANTS[0xA2F]),
    ],
)
def test_among_many_it_is_found_and_few_are_compared(given, expected, monkeypatch):
    """An event about an issuer that nobody trusts held up an authority for seconds."""
    compared = []
    ratio = difflib.SequenceMatcher.ratio

    def counted(self):
        compared.append(self)
        return ratio(self)

    monkeypatch.setattr(difflib.SequenceMatcher, "ratio", counted)
    assert nearest(given, TENANTS) == expected
    assert 0 < len(compared) <= 2 * 64  # each twice


def test_without_known_texts_there_is_no_suggestion():
    assert nearest("a", ()) is None
