"""The CloudEvent by which verifiers report that revoked tokens were presented.

A revoked token in use may be a stolen one, or a client that retries. The event contains
no identifier: a target is its digest, as in the region's store, so only a holder of the
pepper can identify it. Unlike the other events it revokes nothing, and may be lost.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from revocation.decision import REJECTING, Reason
from revocation.entries import Kind, UnixMs
from revocation.events import CloudEvent

_MAX_EXACT: Final = 2**53
_DIGEST: Final = r"^[0-9a-f]{32}$"
_RECEIPT: Final = r"^[0-9]+-[0-9]+$"


def _require_rejecting(reason: Reason) -> Reason:
    if reason not in REJECTING:
        raise ValueError("no entry rejects for this reason")
    return reason


RejectingReason = Annotated[
    Reason,
    AfterValidator(_require_rejecting),
    WithJsonSchema({"enum": [*map(str, REJECTING)]}),
]

Milliseconds = Annotated[int, Field(ge=0, le=_MAX_EXACT)]
Digest = Annotated[str, Field(pattern=_DIGEST)]


class RejectionData(BaseModel):
    """Recent rejections of one target's tokens, in one region."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", strict=True, hide_input_in_errors=True
    )

    digest: Digest = Field(
        description="Keyed BLAKE2b-128 of `issuer|kind|id`, in hexadecimal; the key is "
        "the region's pepper."
    )
    kind: Kind = Field(description="What the target is.")
    reason: RejectingReason = Field(description="Of the latest rejection.")
    receipt: Annotated[str, Field(pattern=_RECEIPT)] = Field(
        description="Partition and offset of the event that revoked it."
    )
    route: str = Field(description="Route class of the latest rejection.")
    region: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    count: Annotated[int, Field(ge=1, le=_MAX_EXACT)] = Field(
        description="Rejections since this verifier's last report of the target."
    )
    first_seen: Milliseconds = Field(
        description="The first of them, by the verifier's clock, in milliseconds."
    )
    last_seen: Milliseconds = Field(description="The latest of them, likewise.")
    as_of: Milliseconds = Field(
        description="The region's watermark at the latest of them, in milliseconds."
    )


class TokenRejected(CloudEvent):
    """Revoked tokens are in use: the first use is reported at once, more as a count."""

    type: Literal["revocation.token.rejected"] = "revocation.token.rejected"
    data: RejectionData

    @classmethod
    def report(cls, source: str, *, last_seen: UnixMs, **data: Any) -> Self:
        """Build the event, dated at the latest rejection."""
        time = datetime.fromtimestamp(last_seen / 1_000, UTC)
        return cls.new(source=source, time=time, last_seen=last_seen, **data)


def encode(event: TokenRejected) -> bytes:
    """Encode in structured JSON mode."""
    return event.model_dump_json(exclude_none=True).encode()
