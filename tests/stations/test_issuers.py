"""How events affect real issuers' tokens, in verifiers end to end.

Sibling: `tests/unit/test_reach.py`, every preset with every event.
"""

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from revocation import events
from revocation.decision import Reason
from revocation.entries import UnixMs
from revocation.jwt.authenticator import Authenticator
from revocation.jwt.jwks import KeyRing
from revocation.verifier import RemoteVerifier, Verifier
from revocation.verifier.base_verifier import BaseVerifier, Tokens, VerifierParts
from tests.stations.test_verifier import store_as_of
from tests.unit.issuer_events import conclude
from tests.unit.issuer_samples import (
    COGNITO,
    ENTRA,
    ENTRA_V1,
    KEYCLOAK_24,
    KUBERNETES,
    OKTA,
)
from tests.unit.issuer_tokens import RULES, USER, Sample
from tests.unit.tokens import jwk, key_set


@pytest.fixture
def present() -> int:
    return int(time.time())


@pytest.fixture(params=["replica", "remote"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@contextlib.asynccontextmanager
async def verifier(
    sample: Sample, folder: Path, kind: str, *said: tuple[int, events.Event]
) -> AsyncIterator[BaseVerifier]:
    """Start a verifier of the issuer's tokens, after events, each with its second."""
    keys = folder / "jwks.json"
    keys.write_bytes(key_set(jwk(sample.algorithm)))
    trusted = sample.given(jwks_file=keys).trusted
    known = conclude(*((UnixMs(at * 1_000), event) for at, event in said))
    store = await store_as_of(0, *known.values())
    ring = KeyRing(trusted)
    tokens = Tokens(Authenticator(trusted, RULES, ring), ring)
    parts = VerifierParts(store=store, rules=RULES, tokens=tokens)
    made = (
        Verifier(parts, store, peppers=(store.pepper,))
        if kind == "replica"
        else RemoteVerifier(parts)
    )
    async with made:
        yield made


def logged_out(sample: Sample, user: str) -> events.Event:
    return events.UserLoggedOut.new(source="/idp", issuer=sample.issuer, user=user)


async def verdicts(verifying: BaseVerifier, *samples: Sample) -> list[Reason]:
    found = [await verifying.verify_async(sample.compact) for sample in samples]
    return [each.verdict.reason for each in found]


async def test_okta_has_no_counter_so_a_login_after_a_second_logout_passes(
    kind: str, present: int, tmp_path: Path
) -> None:
    """`ver` is always 1; a token dated up to 5 s after a logout is refused."""
    okta = OKTA._replace(present=present)
    said = [(present - ago, logged_out(okta, okta.claims["sub"])) for ago in (600, 300)]
    async with verifier(okta, tmp_path, kind, *said) as verifying:
        before, soon, later = (okta._replace(aged=aged) for aged in (303, 297, 60))
        assert await verdicts(verifying, before, soon, later) == [
            Reason.ISSUED_BEFORE_CUT_OFF,
            Reason.ISSUED_BEFORE_CUT_OFF,
            Reason.ACTIVE,
        ]


async def test_events_reach_oktas_clients(
    kind: str, present: int, tmp_path: Path
) -> None:
    okta = OKTA._replace(present=present)
    revoked = events.ClientRevoked.new(
        source="/idp", issuer=okta.issuer, client=okta.claims["cid"]
    )
    async with verifier(okta, tmp_path, kind, (present, revoked)) as verifying:
        reasons = await verdicts(verifying, okta, okta.but(cid="another"))
    assert reasons == [Reason.CLIENT_REVOKED, Reason.ACTIVE]


@pytest.mark.parametrize("entra", [ENTRA, ENTRA_V1], ids=["v2", "v1"])
async def test_a_login_to_entra_a_minute_after_a_logout_passes(
    entra: Sample, kind: str, present: int, tmp_path: Path
) -> None:
    """Although its `iat` lies four minutes before the logout."""
    entra = entra._replace(present=present)
    said = present - 120, logged_out(entra, USER)
    async with verifier(entra, tmp_path, kind, said) as verifying:
        after, before = (entra._replace(aged=300 + aged) for aged in (60, 180))
        reasons = await verdicts(verifying, after, before)
    assert reasons == [Reason.ACTIVE, Reason.ISSUED_BEFORE_CUT_OFF]


@pytest.mark.parametrize(
    ("sample", "session"),
    [(KEYCLOAK_24, "0f1e2d3c"), (COGNITO, "o-1"), (KUBERNETES, "778a530c")],
    ids=["session_state", "origin_jti", "pod"],
)
async def test_a_session_ends_by_the_issuers_own_claim(
    sample: Sample, session: str, kind: str, present: int, tmp_path: Path
) -> None:
    sample = sample._replace(present=present)
    ended = events.SessionEnded.new(source="/idp", issuer=sample.issuer, sid=session)
    async with verifier(sample, tmp_path, kind, (present, ended)) as verifying:
        assert await verdicts(verifying, sample) == [Reason.SESSION_ENDED]
