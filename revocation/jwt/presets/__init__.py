"""Presets: the properties of identity providers' tokens. Data, one file each.

A preset provides defaults of a `TrustedIssuer`; each of them can be overridden.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

_SUFFIX: Final = ".toml"
_PLACE: Final = re.compile(r"\\\{(\w+)\\\}")
_URL: Final = re.compile(r"https?://[^/]")


class Preset(BaseModel):
    """The content of one file.

    `title`: the provider. `tokens`: which of its tokens it describes. `issuer`: an
    example of an `iss`. `jwks_url`: the URL of the key set, where `{iss}` stands for
    the issuer, and other names in braces for parts of the `iss`, whose shapes are in
    `issuers`. `settings`: the defaults. `remedies`: what to change at the provider, by
    the claim that a token lacks. `notes`: for people, a sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    tokens: str
    issuer: str
    issuers: tuple[str, ...] = ("{iss}",)
    jwks_url: str | None = None
    settings: Mapping[str, Any]
    remedies: Mapping[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def has_shape(self, issuer: str) -> bool:
        """Whether an issuer matches a shape more specific than "any"."""
        shapes = (each for each in self.issuers if each != "{iss}")
        return any(_fill(each, issuer) is not None for each in shapes)

    def key_set_url(self, issuer: str) -> str | None:
        """Return the key set's URL, if it follows from the issuer."""
        found = (_fill(shape, issuer) for shape in self.issuers)
        values = next((each for each in found if each is not None), None)
        if self.jwks_url is None or values is None:
            return None
        url = self.jwks_url
        for name, value in values.items():
            joined = url.replace(f"{{{name}}}/", f"{value.removesuffix('/')}/")
            url = joined.replace(f"{{{name}}}", value)
        return url if _URL.match(url) else None


def _fill(shape: str, issuer: str) -> Mapping[str, str] | None:
    """Return the value of each placeholder of a shape; None if it does not match.

    `{iss}` matches the whole issuer; any other matches one segment between slashes.
    """
    if shape == "{iss}":
        return {"iss": issuer}
    pattern = _PLACE.sub(r"(?P<\1>[^/]+)", re.escape(shape))
    found = re.fullmatch(pattern, issuer)
    return None if found is None else found.groupdict()


@cache
def presets() -> Mapping[str, Preset]:
    """Return every preset by its name, in alphabetical order."""
    files = {
        file.name.removesuffix(_SUFFIX): file
        for file in resources.files(__name__).iterdir()
        if file.name.endswith(_SUFFIX)
    }
    return MappingProxyType(
        {
            name: Preset(**tomllib.loads(file.read_text("utf-8")))
            for name, file in sorted(files.items())
        }
    )


def preset(name: str) -> Preset:
    """Return a preset.

    Raises:
        ValueError: there is no preset of this name.
    """
    found = presets().get(name)
    if found is None:
        raise ValueError(f"there is no preset {name!r}; known: {', '.join(presets())}")
    return found
