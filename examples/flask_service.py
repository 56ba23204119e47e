"""A Flask service with flask-jwt-extended whose revocations count in every region.

Needs Flask, flask-jwt-extended, a running region (`revocation embedded up`), the usual
REVOCATION_* settings with REVOCATION_CLAIMS={"version_claim": "ver"}, since it puts the
user's version there, and JWT_SECRET_KEY. Run it with

    flask --app examples.flask_service run

It logs people in without a password, since that is not what it shows.
"""

import atexit
import os
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import Flask, Response, g, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt,
    jwt_required,
)

from revocation import Publisher, ThreadedVerifier, Verifier, VerifierSettings
from revocation.entries import UnixMs
from revocation.events import SessionEnded, TokenRevoked, UserLoggedOut
from revocation.guard.refresh_guard import RefreshGuard, RefreshReason, RefreshRequest
from revocation.web.bearer import Refusals
from revocation.web.routes import route_class_of

ISSUER = "https://flask.example/"

app = Flask(__name__)
app.config.update(
    JWT_SECRET_KEY=os.environ["JWT_SECRET_KEY"],
    JWT_ENCODE_ISSUER=ISSUER,
    JWT_DECODE_ISSUER=ISSUER,
    JWT_ACCESS_TOKEN_EXPIRES=timedelta(minutes=10),
)
jwt = JWTManager(app)

refusals = Refusals(realm="datasets")
settings = VerifierSettings()
replica = Verifier.from_settings(settings)
verifier = ThreadedVerifier(replica)
verifier.start()
publisher = Publisher()
verifier.run(publisher.start())
atexit.register(lambda: verifier.run(publisher.stop()))
guard = RefreshGuard(
    replica, publisher, longest_session_ms=settings.limits.longest_session_ms
)


@jwt.token_in_blocklist_loader
def is_rejected(header: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    """Return whether the token must not pass; its signature has been verified."""
    route = route_class_of(request.method)
    resources = [f"dataset:{name}" for name in (request.view_args or {}).values()]
    g.verdict = verifier.check(
        claims, route=route, resources=resources, kid=header.get("kid")
    )
    return not g.verdict


@jwt.revoked_token_loader
def refuse(_header: Mapping[str, Any], _claims: Mapping[str, Any]) -> Response:
    """Return 401 for a token that was revoked, 503 while its state is unknown."""
    refusal = refusals.verdict(g.verdict)
    return Response(refusal.body, refusal.status, refusal.headers)


@app.post("/login/<user>")
def log_in(user: str) -> Mapping[str, str]:
    """Return the first tokens of a session: they carry it, and the user's version."""
    version = verifier.current_version(ISSUER, user)
    return tokens(user, {"ver": version, "sid": str(uuid.uuid4())})


def tokens(user: str, claims: Mapping[str, Any]) -> Mapping[str, str]:
    """Return an access token and a refresh token with the same claims."""
    return {
        "token": create_access_token(user, additional_claims=dict(claims)),
        "refresh": create_refresh_token(user, additional_claims=dict(claims)),
    }


@app.post("/refresh")
@jwt_required(refresh=True, skip_revocation_check=True)
def refresh() -> tuple[Mapping[str, str], int]:
    """Return new tokens, unless the session, the user or their client was revoked."""
    old = get_jwt()
    asked = RefreshRequest(
        issuer=ISSUER,
        user=old["sub"],
        client="web",
        session=old["sid"],
        token_id=old["jti"],
        issued_at=UnixMs(old["iat"] * 1_000),
        expires_at=UnixMs(old["exp"] * 1_000),
        version=old["ver"],
    )
    decision = verifier.run(guard.guard_refresh(asked))
    if not decision or decision.latest_iat is None:
        return {}, 503 if decision.reason is RefreshReason.STALE else 401
    iat = min(int(time.time()), decision.latest_iat)
    return tokens(
        old["sub"], {"ver": decision.version, "sid": old["sid"], "iat": iat}
    ), 200


@app.post("/logout")
@jwt_required(skip_revocation_check=True)
def log_out() -> tuple[str, int]:
    """End the session: this token, its refresh token and its access tokens."""
    token = get_jwt()
    about = {"source": "/flask-service", "issuer": ISSUER}
    for event in (
        SessionEnded.new(**about, sid=token["sid"]),
        TokenRevoked.new(**about, jti=token["jti"], exp=token["exp"]),
    ):
        verifier.run(publisher.publish(event))
    return "", 204


@app.post("/logout-everywhere")
@jwt_required(skip_revocation_check=True)
def log_out_everywhere() -> tuple[str, int]:
    """End all tokens of the user."""
    event = UserLoggedOut.new(
        source="/flask-service", issuer=ISSUER, user=get_jwt()["sub"]
    )
    verifier.run(publisher.publish(event))
    return "", 204


@app.get("/me")
@jwt_required()
def me() -> Mapping[str, str]:
    """Return who is calling."""
    return {"id": get_jwt()["sub"]}


@app.get("/datasets/<name>")
@jwt_required()
def read(name: str) -> Mapping[str, Any]:
    """Return what a read sees, and as of when its token counted."""
    return {"name": name, "as_of": g.verdict.as_of}


@app.put("/datasets/<name>")
@jwt_required()
def write(name: str) -> Mapping[str, Any]:
    """Answer a write, which needs a region that is not behind."""
    return {"name": name, "as_of": g.verdict.as_of}
