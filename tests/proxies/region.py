"""A region for the cases: a real store with a few entries, keys, rules and tokens.

There is no log and no projector: the store is written once, as a projector would, and
its `as_of` is a while ago: fresh enough for every route class except `fresh`.
"""

import time
from pathlib import Path

from revocation.entries import Entry, Kind, Position, Target
from revocation.settings import VerifierSettings
from revocation.store.contract import Batch, Mark
from revocation.store.layout import Layout
from revocation.store.redis_store import RedisStore
from tests.identities import identity
from tests.servers import Server
from tests.unit.tokens import AUDIENCE, ISSUER, jwk, key_set, mint

AGE_MS = 10_000

RULES = f"""
audience = "{AUDIENCE}"

[[rules]]
path = "/health"
public = true

[[rules]]
path = "/broken"
public = true

[[rules]]
path = "/datasets/{{id:int}}"
resources = ["dataset:{{id}}"]

[[rules]]
path = "/admin"
scopes = ["admin"]

[[rules]]
path = "/live"
methods = ["WEBSOCKET"]
scopes = ["live"]

[[rules]]
path = "/live"
scopes = ["admin"]

[[rules]]
path = "/fresh"
route = "fresh"
"""


class Region:
    """The store, and the settings of its verifiers."""

    def __init__(self, folder: Path, store: Server) -> None:
        self.folder = folder
        self.store = store
        self.now = int(time.time())
        self._applied = 0
        (folder / "pepper").write_text("0123456789abcdef" * 4)
        (folder / "jwks.json").write_bytes(key_set(jwk("ES256")))
        self.rules = folder / "rules.toml"
        self.rules.write_text(RULES)
        trusted = {
            "jwks_file": str(folder / "jwks.json"),
            "algorithms": ["ES256"],
            "audiences": [AUDIENCE],
        }
        self.settings = {
            "region": "eu",
            "store_url": store.url,
            "pepper_file": str(folder / "pepper"),
            "read_max_staleness_ms": 3_600_000,
            "write_max_staleness_ms": 3_600_000,
            "routes": {"fresh": {"max_staleness_ms": AGE_MS // 2}},
            "issuers": {ISSUER: trusted},
        }

    async def fill(self) -> None:
        """Write the entries of the cases: a logged-out user, a deleted dataset."""
        await self._apply(
            self._cut_off(Kind.USER, "logged-out"),
            self._cut_off(Kind.RESOURCE, "dataset:42"),
            begin=True,
        )

    async def log_out(self, sub: str) -> None:
        """Revoke a user's tokens, as of now."""
        await self._apply(self._cut_off(Kind.USER, sub))

    def token(self, sub: str = "alice", **claims: object) -> str:
        """Mint a token of a minute ago; claims that are `...` are left out."""
        times = {"iat": self.now - 60, "exp": self.now + 3_000}
        return mint(**{**times, "sub": sub, "jti": f"of-{sub}", **claims})

    def bearer(self, sub: str = "alice", **claims: object) -> list[tuple[str, str]]:
        """Return the header field with such a token."""
        return [("Authorization", f"Bearer {self.token(sub, **claims)}")]

    def _cut_off(self, kind: Kind, name: str) -> Entry:
        at = Position(0, 7, self.now * 1_000)
        return Entry(Target(kind, ISSUER, name), at, not_before=at.time)

    async def _apply(self, *entries: Entry, begin: bool = False) -> None:
        settings = VerifierSettings(**self.settings)
        layout = Layout("r", settings.peppers)
        store = RedisStore(self.store.url, layout, limits=settings.limits)
        await store.start()
        if begin:
            await store.begin("epoch", identity())
        self._applied += 1
        as_of = self.now * 1_000 - AGE_MS
        mark = Mark(self._applied, self._applied, as_of, self._applied, rebuilt=True)
        await store.apply("epoch", Batch(entries, {0: mark}, {}))
        await store.stop()
