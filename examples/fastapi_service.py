"""A FastAPI service whose revocations count in every region.

Needs FastAPI, uvicorn, the extra `jwt`, a running region (`revocation embedded up`) and
the usual REVOCATION_* settings with REVOCATION_ISSUERS among them, where the issuer has
`version_claim` "ver": this service puts the user's version there. SIGNING_KEY_FILE is a
private key as JWK, whose public part is in the issuer's key set. Run it with

    uvicorn examples.fastapi_service:app

It logs people in without a password, since that is not what it shows.
"""

import contextlib
import json
import os
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.jwk import ECKey

from revocation import Publisher, Verifier
from revocation.events import SessionEnded, TokenRevoked, UserLoggedOut
from revocation.verifier import Verification
from revocation.web.fastapi import Protected

ISSUER = "https://fastapi.example/"
AUDIENCE = "https://api.example/"
NOT_ACCEPTABLE = "The access token is not acceptable here"
SIGNING_KEY = ECKey.import_key(
    json.loads(Path(os.environ["SIGNING_KEY_FILE"]).read_bytes())
)

verifier = Verifier.from_settings()
publisher = Publisher()


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Start and stop the verifier and the publisher."""
    async with verifier, publisher:
        yield


app = FastAPI(lifespan=lifespan)

Reader = Annotated[
    Verification, Depends(Protected(verifier, resources=["dataset:{name}"]))
]
Writer = Annotated[
    Verification,
    Depends(
        Protected(verifier, resources=["dataset:{name}"], scopes=["datasets:write"])
    ),
]


@app.get("/datasets/{name}")
async def read(name: str, caller: Reader) -> Mapping[str, Any]:
    """Return what a read sees, and as of when its token counted."""
    return {"name": name, "as_of": caller.verdict.as_of}


@app.put("/datasets/{name}")
async def write(name: str, caller: Writer) -> Mapping[str, Any]:
    """Answer a write, which needs a region that is not behind."""
    return {"name": name, "as_of": caller.verdict.as_of}


class User(NamedTuple):
    """What the strategy needs of a user."""

    id: str


class UserManager:
    """Stands in for the one of FastAPI Users, which has a database."""

    def parse_id(self, value: str) -> str:
        """Return the id of a user."""
        return value

    async def get(self, user_id: str) -> User:
        """Return a user."""
        return User(user_id)


class RevocableStrategy:
    """Reads, writes and ends tokens, as a strategy of FastAPI Users does."""

    async def read_token(self, token: str | None, users: UserManager) -> User | None:
        """Return whose token it is, if it counts."""
        verification = await verifier.verify_async(token or "")
        if not verification.verdict or verification.claims is None:
            return None
        return await users.get(users.parse_id(verification.claims["sub"]))

    async def write_token(self, user: User) -> str:
        """Return a token that carries the user's version."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user.id),
            "client_id": "web",
            "scope": "datasets:write",
            "iat": now,
            "exp": now + 600,
            "jti": str(uuid.uuid4()),
            "sid": str(uuid.uuid4()),
            "ver": await verifier.current_version(ISSUER, str(user.id)),
        }
        header = {"alg": "ES256", "typ": "at+jwt", "kid": SIGNING_KEY.kid}
        return jwt.encode(header, claims, SIGNING_KEY)

    async def destroy_token(self, token: str, _user: User | None = None) -> None:
        """End the session: this token and all that belongs to it."""
        claims = (await verifier.verify_async(token)).claims
        if claims is None:
            raise HTTPException(401, NOT_ACCEPTABLE)
        about = {"source": "/users", "issuer": ISSUER}
        for event in (
            SessionEnded.new(**about, sid=claims["sid"]),
            TokenRevoked.new(**about, jti=claims["jti"], exp=claims["exp"]),
        ):
            await publisher.publish(event)


strategy = RevocableStrategy()
Presented = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


@app.get("/me")
async def me(presented: Presented) -> Mapping[str, str]:
    """Return who is calling, as routes that need the user do."""
    user = await strategy.read_token(presented.credentials, UserManager())
    if user is None:
        raise HTTPException(401, NOT_ACCEPTABLE)
    return {"id": user.id}


@app.post("/login/{user}")
async def log_in(user: str) -> Mapping[str, str]:
    """Return a token."""
    return {"token": await strategy.write_token(User(user))}


@app.post("/logout", status_code=204)
async def log_out(presented: Presented) -> None:
    """End this session."""
    await strategy.destroy_token(presented.credentials)


@app.post("/logout-everywhere", status_code=204)
async def log_out_everywhere(presented: Presented) -> None:
    """End all tokens of the user."""
    claims = (await verifier.verify_async(presented.credentials)).claims
    if claims is None:
        raise HTTPException(401, NOT_ACCEPTABLE)
    event = UserLoggedOut.new(source="/users", issuer=ISSUER, user=claims["sub"])
    await publisher.publish(event)
