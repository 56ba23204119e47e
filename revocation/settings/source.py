"""How settings are read: from the environment and one file, with errors that help.

Each field `x` is read from `REVOCATION_X`, else from the TOML file that
`REVOCATION_CONFIG` names, else has a default that is safe; an empty variable counts as
unset. Secrets come from files named here, never from this project.
"""

import os
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

MIN_PEPPER_BYTES: Final = 32
_CONFIG_VARIABLE: Final = "REVOCATION_CONFIG"


class Settings(BaseSettings):
    """The settings of one process."""

    model_config = SettingsConfigDict(
        env_prefix="REVOCATION_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    def __init__(self, **values: Any) -> None:
        """Read the settings; keyword arguments win.

        Raises:
            SettingsError: names each setting that is missing or wrong.
        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None
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
    # One file serves all processes, so each ignores what is another's; but what is
    # nobody's is a slip of the pen, and the default in its place might be unsafe.
    unknown = source.toml_data.keys() - _known_names(Settings)
    if unknown:
        raise SettingsError(
            f"{path} has settings that do not exist: {', '.join(sorted(unknown))}"
        )
    return source


def _known_names(settings: type[BaseSettings]) -> set[str]:
    names = set(settings.model_fields)
    return names.union(*map(_known_names, settings.__subclasses__()))


def _explain(error: ValidationError) -> str:
    lines = []
    for each in error.errors(include_url=False, include_input=False):
        name, *place = map(str, each["loc"] or ("settings",))
        named = f"REVOCATION_{name.upper()}" if each["loc"] else name
        lines.append(f"{' '.join([named, *place])}: {each['msg']}")
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
