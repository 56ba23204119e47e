"""What the fuzzer of gRPC starts from, replayed; it says how to fuzz in its docstring.

And the fuzzer is shown to find: with a protection out, a seed fails.
"""

from pathlib import Path

import pytest

from revocation.sidecar import ext_authz
from revocation.web.access_guard import AccessPolicy
from tests.fuzz import fuzz_ext_authz, fuzz_verify

SEEDS = sorted((Path(fuzz_ext_authz.__file__).parent / "seeds-ext-authz").iterdir())
SIGNED = {
    *("signed", "signed-azp", "signed-no-scope", "signed-scopes"),
    *("signed-spaces", "signed-unicode"),
}
PUBLIC = {"path-public", "path-public-encoded", "question-identity", "bytes-public"}


def passes(path, service):
    message = fuzz_ext_authz.message_of(path.read_bytes())
    return fuzz_ext_authz.answer(service, message).HasField("ok_response")


def replay():
    for path in SEEDS:
        fuzz_ext_authz.run_one(path.read_bytes())


def test_the_seeds_are_few_and_small():
    assert 30 < len(SEEDS) < 100
    assert max(path.stat().st_size for path in SEEDS) < 4_096


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_a_seed_is_answered_as_the_fuzzer_expects(path):
    fuzz_ext_authz.run_one(path.read_bytes())


def test_the_seeds_reach_what_lies_behind_a_refusal():
    """Only those pass that have a token of the right key, or ask for what is public."""
    closed = {each.name for each in SEEDS if passes(each, fuzz_ext_authz.CLOSED)}
    assert closed >= SIGNED
    opened = {each.name for each in SEEDS if passes(each, fuzz_ext_authz.OPEN)}
    assert opened >= SIGNED | PUBLIC


def test_an_exception_would_be_found(monkeypatch):
    """Though it is a denial: what a client can cause must not be an error of ours."""
    monkeypatch.setattr(ext_authz, "DecodeError", KeyError)
    with pytest.raises(Exception, match="parsing"):
        replay()


def test_an_acceptance_would_be_found(monkeypatch):
    (path,) = [path for path in SEEDS if path.name == "signed"]
    token = fuzz_verify.sign(fuzz_ext_authz.HEADER, path.read_bytes()[1:])
    monkeypatch.setattr(AccessPolicy, "find_token", lambda *_: token)
    with pytest.raises(AssertionError):
        replay()


def test_a_header_of_a_claim_that_cannot_be_sent_would_be_found(monkeypatch):
    # One of its own: what is told of a token may be remembered with it.
    strict = fuzz_verify._authenticator(allow_untyped=False)
    monkeypatch.setattr(fuzz_ext_authz, "STRICT", strict)
    monkeypatch.setattr("revocation.sidecar.authorizer.write_value", str)
    with pytest.raises(AssertionError):
        replay()
