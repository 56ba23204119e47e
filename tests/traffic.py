"""Events for tests, and a model of their results."""

import random
from collections import Counter
from collections.abc import Sequence

from revocation.entries import Kind, Target
from revocation.events import Event, UserLoggedOut

ISSUER = "https://idp.example/"
SOURCE = "/tests"


def user(name: str) -> Target:
    """Return the target of a user."""
    return Target(Kind.USER, ISSUER, name)


def logged_out(name: str, **data: object) -> UserLoggedOut:
    """Return the event of a user's logout."""
    return UserLoggedOut.new(source=SOURCE, issuer=ISSUER, user=name, **data)


def logouts(count: int, users: int, *, seed: int) -> tuple[list[Event], Counter[str]]:
    """Return logouts of random users, and the final version of each user."""
    chosen = random.Random(seed).choices([f"user-{n}" for n in range(users)], k=count)
    return [logged_out(name) for name in chosen], Counter(chosen)


def claims(name: str, *, now: int, age: int = 60, **more: object) -> dict[str, object]:
    """Return the claims of a token issued `age` seconds ago."""
    return {
        "iss": ISSUER,
        "sub": name,
        "jti": f"token-of-{name}",
        "iat": now - age,
        "exp": now + 600,
        **more,
    }


def chunks(items: Sequence[Event], size: int) -> list[Sequence[Event]]:
    """Return the items in runs of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]
