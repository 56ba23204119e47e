"""The public names: fixed here, so that a change is deliberate."""

import inspect
import subprocess
import sys

import revocation

NAMES = [
    "Publisher",
    "PublisherSettings",
    "Reason",
    "Receipt",
    "RefreshGuard",
    "RemoteVerifier",
    "RevocationError",
    "StalenessPolicy",
    "ThreadedVerifier",
    "TrustedIssuer",
    "Verdict",
    "Verification",
    "Verifier",
    "VerifierSettings",
    "wait_applied",
]
VERIFIER = {
    *("start", "stop", "ready", "freshness", "progress", "wait_ready"),
    *("complaint", "disagreement", "max_token_bytes"),
    "from_settings",
    *("check", "check_async", "verify", "verify_async"),
    *("check_or_await", "verify_or_await"),
    *("current_version", "wait_applied"),
}
HEAVY = {"joserfc", "httpx", "starlette", "fastapi", "flask", "uvicorn", "faust"}


def public(owner):
    return {name for name in dir(owner) if not name.startswith("_")}


def test_the_names():
    assert revocation.__all__ == sorted(NAMES, key=lambda name: (name.islower(), name))
    assert len(NAMES) <= 15


def test_every_name_is_documented():
    for name in NAMES:
        assert inspect.getdoc(getattr(revocation, name)), name


def test_what_a_verifier_can_do():
    assert public(revocation.Verifier) == VERIFIER
    in_memory = {"ready", "freshness", "progress", "wait_ready", "check", "verify"}
    in_memory |= {"check_or_await", "verify_or_await", "complaint", "disagreement"}
    assert public(revocation.RemoteVerifier) == VERIFIER - in_memory


def test_every_method_says_what_it_raises_and_returns():
    for name in VERIFIER:
        member = inspect.getattr_static(revocation.Verifier, name)
        assert inspect.getdoc(getattr(member, "fget", member)), name


def test_an_import_needs_no_extra():
    """Whoever only publishes or checks claims installs neither JOSE nor HTTP."""
    script = f"import sys, revocation; print(*sys.modules.keys() & {HEAVY!r})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
