"""Key rings that read from a server on which a test publishes key sets."""

import contextlib

from prometheus_client import REGISTRY

from revocation.entries import UnixMs
from revocation.jwt.jwks import KeyRing
from revocation.jwt.key_source import Pace
from tests.unit.tokens import ISSUER, NOW, issuer, jwk, key_set

BOTH = key_set(jwk("ES256"), jwk("ES256", "key-2"))
FIRST, SECOND = key_set(jwk("ES256")), key_set(jwk("ES256", "key-2"))
SLOW = Pace(between=3_600.0)
FAST = Pace(between=0.0, first_retry=0.01)


class Clock:
    """The verifier's clock, moved by hand."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return UnixMs(self.now)


@contextlib.asynccontextmanager
async def rings(server):
    """Start key rings that read from the server."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(pace=FAST, clock=None, **options):
            algorithms = options.pop("algorithms", ())
            trusted = issuer(
                *algorithms,
                jwks_url=server.url,
                allow_private_addresses=True,
                **options,
            )
            made = KeyRing({ISSUER: trusted}, pace=pace, clock=clock or Clock())
            made.trusted = {ISSUER: trusted}
            return await stack.enter_async_context(made)

        yield start


def kids(keys):
    return {kid for _, kid in keys.known()}


def counted(result):
    name = "revocation_jwks_refreshes_total"
    return REGISTRY.get_sample_value(name, {"result": result}) or 0
