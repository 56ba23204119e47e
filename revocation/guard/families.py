"""Ends the family of a reused refresh token: the session, for everybody."""

import asyncio
from collections import OrderedDict
from typing import Final, NamedTuple, Protocol

from pydantic import ValidationError

from revocation.entries import UnixMs
from revocation.errors import InvalidEventError, PublishError
from revocation.events import Event, SessionEnded
from revocation.receipts import Receipt

_REMEMBERED_MS: Final = 60_000
_REMEMBERED_FAMILIES: Final = 10_000


class Family(NamedTuple):
    """All refresh tokens that came from one login, by `iss` and `sid`."""

    issuer: str
    session: str
    tenant: str | None = None


class EventPublisher(Protocol):
    """The method that is needed of a publisher."""

    async def publish(self, event: Event) -> tuple[Receipt, ...]:
        """Publish and wait for the acknowledgement."""


class Families:
    """Publishes the end of families, each at most once a minute.

    A thief may present a stolen refresh token any number of times, which must not fill
    the log.
    """

    def __init__(
        self, publisher: EventPublisher, *, source: str, timeout_seconds: float
    ) -> None:
        """Prepare.

        Args:
            publisher: started.
            source: the CloudEvents `source` of the events.
            timeout_seconds: the limit for an acknowledgement.
        """
        self._publisher = publisher
        self._source = source
        self._timeout_seconds = timeout_seconds
        self._ended: OrderedDict[Family, tuple[UnixMs, tuple[Receipt, ...]]]
        self._ended = OrderedDict()

    async def end(self, family: Family, now: UnixMs) -> tuple[Receipt, ...]:
        """Publish unless that was done within the last minute; return the receipts.

        Raises:
            InvalidEventError: no event can name the session.
            PublishError: not acknowledged; the next call tries again.
        """
        ended_at, receipts = self._ended.get(family, (None, ()))
        if ended_at is not None and 0 <= now - ended_at < _REMEMBERED_MS:
            return receipts
        event = self._event(family)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                receipts = await self._publisher.publish(event)
        except TimeoutError:
            raise PublishError(
                "Kafka did not acknowledge the end of a session within "
                f"{self._timeout_seconds:g} s; the next use of the refresh token tries "
                "again"
            ) from None
        self._ended[family] = now, receipts
        self._ended.move_to_end(family)
        if len(self._ended) > _REMEMBERED_FAMILIES:
            self._ended.popitem(last=False)
        return receipts

    def _event(self, family: Family) -> SessionEnded:
        try:
            return SessionEnded.new(
                source=self._source,
                issuer=family.issuer,
                sid=family.session,
                tenant=family.tenant,
                reason="a refresh token was used after its rotation or revocation",
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidEventError(
                f"no event can end the session: {first['msg']}; end it at the issuer"
            ) from None
