"""How old a region's knowledge may be when it answers a route."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from revocation.decision import StalenessPolicy
from revocation.settings.settings_source import Settings

RouteClass = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class RouteSettings(Settings):
    """The staleness that each route class tolerates."""

    write_max_staleness_ms: int = Field(5_000, ge=0)
    """Writes are rejected when the region knows nothing newer than this."""
    read_max_staleness_ms: int = Field(60_000, ge=0)
    """Reads are rejected when the region knows nothing newer than this."""
    routes: dict[RouteClass, StalenessPolicy] = Field(default_factory=dict)
    """More route classes, or `read` and `write` in detail: `fresh_ms` (5,000),
    `max_staleness_ms` (5,000) and `beyond` (`deny`, or `allow` or `introspect`)."""

    @property
    def policies(self) -> Mapping[str, StalenessPolicy]:
        """The staleness policy of each route class."""
        return {
            "read": StalenessPolicy(max_staleness_ms=self.read_max_staleness_ms),
            "write": StalenessPolicy(max_staleness_ms=self.write_max_staleness_ms),
            **self.routes,
        }
