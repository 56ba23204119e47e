"""Prints what a check of usual tokens takes, by whatever checkout is on the path.

Without a verifier around it: what is imported here has been there for long.
"""

import sys
import time
from statistics import median
from typing import Any, Final

import orjson

from revocation.claims.claims import Rules, read_token
from revocation.decision import Freshness, StalenessPolicy, decide
from revocation.entries import UnixMs
from revocation.verifier.replica import Replica

_HOUR_MS: Final = 3_600_000
_TOKENS: Final = [
    orjson.dumps(
        {
            "iss": "https://idp.example/",
            "aud": "https://api.example/",
            "sub": f"user-of-nobody-{number}",
            "client_id": "web",
            "jti": f"token-of-nobody-{number}",
            "sid": f"session-of-nobody-{number}",
            "iat": 1_800_000_000,
            "exp": 1_800_003_000,
        }
    )
    for number in range(256)
]


def check_us(rounds: int) -> float:
    """Return the microseconds of one, the median of some rounds over all tokens."""
    replica, now = Replica((b"p" * 64,)), UnixMs(1_800_000_060_000)
    replica.advance(Freshness(ready=True, as_of=now))
    rules, policy = Rules(longest_token_ms=_HOUR_MS), StalenessPolicy()
    took = []
    for _ in range(rounds):
        tokens: list[dict[str, Any]] = [orjson.loads(each) for each in _TOKENS]
        began = time.perf_counter()
        for claims in tokens:
            token = read_token(claims, rules)
            found, freshness = replica.find(token, now)
            verdict = decide(
                token, found, freshness, policy=policy, rules=rules, now=now
            )
        took.append((time.perf_counter() - began) / len(tokens))
        assert verdict.active
    return median(took) * 1e6


if __name__ == "__main__":
    print(check_us(int(sys.argv[1])))
