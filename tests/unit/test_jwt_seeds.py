"""The fuzzer's seeds, replayed; its docstring says how to fuzz."""

from pathlib import Path

import pytest

from revocation.jwt.authenticator import Authenticated
from tests.fuzz import fuzz_verify

SEEDS = sorted((Path(fuzz_verify.__file__).parent / "seeds").iterdir())
ACCEPTED = {
    *("token", "signed-access", "signed-application-type", "signed-aud-list"),
    *("signed-brackets-in-text", "signed-exp-float", "signed-nbf", "signed-nested"),
    *("signed-no-kid", "signed-pair", "signed-unicode", "signed-x5t"),
}


def test_the_seeds_are_few_and_small():
    assert 30 < len(SEEDS) < 100
    assert max(path.stat().st_size for path in SEEDS) < 4_096


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_a_seed_is_judged_as_the_fuzzer_does(path):
    fuzz_verify.run_one(path.read_bytes())


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_a_seed_reaches_what_lies_behind_the_signature(name):
    """Or the fuzzer would only ever see refusals."""
    (path,) = [path for path in SEEDS if path.name == name]
    data = path.read_bytes()
    token = data[1:].decode()
    if data[:1] == b"P":
        header, _, payload = data[1:].partition(b"\n")
        token = fuzz_verify.sign(header, payload)
    found = fuzz_verify.STRICT.authenticate(token, fuzz_verify.NOW)
    assert isinstance(found, Authenticated), found
