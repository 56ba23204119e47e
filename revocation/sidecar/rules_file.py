"""Follows the rules file: reads it at start, on every change and on request.

New rules replace the old ones atomically, between two requests. An invalid file leaves
the old rules in force, is logged with its lines, and counted; the gauge
`revocation_rules_current_ratio` is 0 until it is fixed.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from revocation import metrics
from revocation.background import Background
from revocation.decision import StalenessPolicy
from revocation.errors import SettingsError
from revocation.sidecar.path_rules import MAX_FILE_BYTES, read_rules
from revocation.sidecar.rule_set import RuleSet

_log = structlog.get_logger()

_POLL_SECONDS: Final = 1.0
_SILENT_SECONDS: Final = 30.0

_Seen = tuple[int, ...] | None
"""Shows that a file changed, or is missing."""


class RulesFile:
    """The rules in force, from a file; without one, every path needs a token."""

    def __init__(
        self,
        path: Path | None,
        *,
        policies: Mapping[str, StalenessPolicy],
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        """Read the file.

        Args:
            path: of the file. Symbolic links are followed, as Kubernetes swaps one to
                update a mounted folder.
            policies: by route class.
            poll_seconds: how often to check it.

        Raises:
            SettingsError: the file is invalid; names each fault with its line.
        """
        self._path = path
        self._policies = policies
        self._poll_seconds = poll_seconds
        self._following = Background(
            "rules file", self._follow, silent_seconds=_SILENT_SECONDS
        )
        self._reading = asyncio.Lock()
        self._seen: _Seen = self._look()
        self.current = RuleSet(policies=policies) if path is None else self._read(path)
        metrics.RULES_CURRENT.set(1)

    async def start(self) -> None:
        """Follow the file."""
        if self._path is not None:
            self._following.start()

    async def stop(self) -> None:
        """Stop following the file; may be called twice. The rules stay in force."""
        await self._following.stop()

    async def reload(self) -> bool:
        """Read the file now; return whether its rules are in force. Never raises."""
        # One at a time: the rules read last count.
        async with self._reading:
            return await self._reload()

    async def _reload(self) -> bool:
        if self._path is None:
            return True
        self._seen = self._look()
        try:
            # In a thread: a long file takes a while, and requests are waiting.
            self.current = await asyncio.to_thread(self._read, self._path)
        except SettingsError as error:
            _log.error("rules refused, the old ones stay", error=str(error))
            metrics.RULES_RELOADS.labels("refused").inc()
            metrics.RULES_CURRENT.set(0)
            return False
        _log.info("rules read", rules=len(self.current))
        metrics.RULES_RELOADS.labels("applied").inc()
        metrics.RULES_CURRENT.set(1)
        return True

    async def _follow(self) -> None:
        before = self._seen
        while True:
            await asyncio.sleep(self._poll_seconds)
            self._following.beat()
            now = self._look()
            # Not during a write: half a file may be TOML, too. And a refused file only
            # when it changes again.
            if now == before and now != self._seen:
                await self.reload()
            before = now

    def _look(self) -> _Seen:
        try:
            found = None if self._path is None else self._path.stat()
        except OSError:
            return None
        if found is None:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _read(self, path: Path) -> RuleSet:
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise SettingsError(f"cannot read the rules in {path}: {error}") from None
        return read_rules(content, name=path.name, policies=self._policies)
