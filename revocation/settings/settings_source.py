"""How settings are read: from the environment and one file, with errors that help.

Each field `x` is read from `REVOCATION_X`, else from the TOML file that
`REVOCATION_CONFIG` names, else has a default that is safe; an empty variable counts as
unset. Unknown settings are refused, in both. Secrets come from files that settings
name, never from this project.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError as UnreadableSettingsError,
    TomlConfigSettingsSource,
)

from revocation.errors import SettingsError
from revocation.nearest import nearest

MIN_PEPPER_BYTES: Final = 32
CACHE_VARIABLE: Final = "REVOCATION_CACHE_DIR"
"""Where the local system keeps its downloads; not a setting of a process."""

_PREFIX: Final = "REVOCATION_"
_CONFIG_VARIABLE: Final = "REVOCATION_CONFIG"
_OTHER_VARIABLES: Final = frozenset({_CONFIG_VARIABLE, CACHE_VARIABLE})
_SERVICE_LINK: Final = re.compile(
    r"\w*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)=.*"
    r"|\w*_PORT=(tcp|udp|sctp)://.*",
    re.DOTALL,
)
"""A variable that Kubernetes makes of a Service, as `NAME=value`."""


class Settings(BaseSettings):
    """The settings of one process."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, extra="ignore"
    )

    def __init__(self, **values: Any) -> None:
        """Read the settings; keyword arguments win.

        Raises:
            SettingsError: names each setting that is missing, wrong or unknown.
        """
        _refuse_unknown_variables()
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(explain_invalid(error)) from None
        except UnreadableSettingsError as error:
            raise SettingsError(f"{error}; tables are given as JSON") from None

    @classmethod
    def settings_customise_sources(  # noqa: D102 - pydantic-settings documents it
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used here
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = os.environ.get(_CONFIG_VARIABLE)
        if not path:
            return init_settings, env_settings
        return init_settings, env_settings, _read_file(settings_cls, Path(path))


def _read_file(settings: type[BaseSettings], path: Path) -> TomlConfigSettingsSource:
    if not path.is_file():
        raise SettingsError(f"{_CONFIG_VARIABLE} names no file: {path}")
    try:
        source = TomlConfigSettingsSource(settings, path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read the settings in {path}: {error}") from None
    known = _known_names(Settings)
    unknown = source.toml_data.keys() - known
    if unknown:
        raise SettingsError(
            f"{path} has settings that do not exist: {_with_nearest(unknown, known)}"
        )
    return source


def _refuse_unknown_variables() -> None:
    """Refuse variables that no process reads.

    One environment or file serves all processes, so each ignores the others' settings;
    but an unknown name is a typo, and the default in its place might be unsafe.
    """
    given = {
        name: value
        for name, value in os.environ.items()
        if value and name.upper().startswith(_PREFIX)
    }
    links = {name for name in given if _SERVICE_LINK.match(f"{name}={given[name]}")}
    if links:
        raise SettingsError(
            f"{', '.join(sorted(links))}: no settings, but the variables that "
            "Kubernetes sets for Services whose names begin with `revocation`; set "
            "`enableServiceLinks: false` in the pod's spec"
        )
    known = {f"{_PREFIX}{name.upper()}" for name in _known_names(Settings)}
    unknown = {
        name for name in given.keys() - _OTHER_VARIABLES if name.upper() not in known
    }
    if unknown:
        raise SettingsError(
            "the environment has settings that do not exist: "
            f"{_with_nearest(unknown, known | _OTHER_VARIABLES)}"
        )


def _with_nearest(unknown: Iterable[str], known: Iterable[str]) -> str:
    """Return the unknown names, each with the known one that is most like it."""
    return ", ".join(
        f"{name} (the nearest is {nearest(name, known)})" for name in sorted(unknown)
    )


def _known_names(settings: type[BaseSettings]) -> set[str]:
    names = set(settings.model_fields)
    return names.union(*map(_known_names, settings.__subclasses__()))


def explain_invalid(error: ValidationError) -> str:
    """Return each invalid setting with the reason; quotes no value."""
    lines = []
    for each in error.errors(include_url=False, include_input=False):
        name, *place = map(str, each["loc"] or ("settings",))
        named = f"{_PREFIX}{name.upper()}" if each["loc"] else name
        said = each["msg"].removeprefix("Value error, ")
        lines.append(f"{' '.join([named, *place])}: {said}")
    return "; ".join(lines)


def read_secret(path: Path, *, least_bytes: int = MIN_PEPPER_BYTES) -> bytes:
    """Return the secret in a file, without white space around it.

    Raises:
        SettingsError: it cannot be read, or is too short.
    """
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"cannot read the secret in {path}: {error}") from error
    if len(secret) < least_bytes:
        raise SettingsError(
            f"the secret in {path} has {len(secret)} bytes, at least "
            f"{least_bytes} are needed; `openssl rand -hex 32 > {path}` makes one"
        )
    return secret
