"""docs/reference/settings.md: each setting's meaning is the docstring below it."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from revocation import settings
from revocation.claims.claim_mapping import ClaimMapping
from revocation.jwt.trust import TrustedIssuer
from revocation.settings import station_settings, verifier_settings
from revocation.settings.settings_source import Settings
from tests.reference.tables import UNITS, cells, docstrings

READERS: Final[Mapping[type[Settings], str]] = {
    settings.AuthoritySettings: "authority",
    settings.ProjectorSettings: "projector",
    settings.SidecarSettings: "sidecar",
    settings.VerifierSettings: "verifier",
    settings.PublisherSettings: "publisher",
    settings.KafkaSettings: "CLI",
    settings.RegionsSettings: "CLI",
    settings.OneRegionSettings: "CLI",
    settings.TokenSettings: "CLI",
    settings.LimitSettings: "CLI",
}
"""Which process makes which class of settings."""

_SECTIONS: Final[Mapping[type[Settings], str]] = {
    settings.LimitSettings: "Lifetimes, and what can be revoked",
    settings.KafkaSettings: "Kafka",
    settings.StoreSettings: "A region's store",
    settings.TlsSettings: "Certificates for stores",
    settings.RegionsSettings: "All regions",
    settings.OneRegionSettings: "One region, for a command",
    settings.PepperSettings: "Peppers",
    station_settings._WorkerSettings: "Authorities and projectors",
    settings.AuthoritySettings: "Authorities",
    settings.ProjectorSettings: "Projectors",
    settings.PublisherSettings: "Publishers",
    settings.IssuerSettings: "Issuers",
    settings.TokenSettings: "Claims",
    settings.RouteSettings: "Staleness",
    settings.VerifierSettings: "Verifiers",
    settings.SidecarSettings: "Sidecars",
}

_TABLES: Final[Mapping[str, type[BaseModel]]] = {
    'Members of `issuers."ISSUER"`': TrustedIssuer,
    "Members of `claims`": ClaimMapping,
    "Members of `introspection`": verifier_settings.IntrospectionClient,
}

_MADE_DEFAULTS: Final = {
    "authority_id": "`<topic_prefix>-authority`",
    "claims": "see [below](#members-of-claims)",
    "instance": "the host's name",
}
"""Defaults that depend on something else."""

_SETTINGS_HEAD: Final = """\
# Settings

Made from the code by `make docs`. Each setting is read from its variable, else from the
key of its name in the TOML file that `REVOCATION_CONFIG` names, else has the default
here. In variables, lists and tables are written as JSON. An empty variable
counts as unset. A variable or a key that is no setting is refused. One file can serve
all processes: each ignores what only others read.

`CLI` stands for `topics init`, `status`, `publish`, `issuers try` and `--region`.
`revocation check` and `verify` read what a verifier reads, `revocation rebuild` what a
projector reads. `revocation embedded` and `demo` have options of their own, and keep
what they download in the folder that `REVOCATION_CACHE_DIR` names.
"""


def declared() -> dict[str, type[Settings]]:
    """Return the class that declares each setting, the first of several."""
    found: dict[str, type[Settings]] = {}
    for cls in _SECTIONS:
        for name in inspect.get_annotations(cls):
            if name in cls.model_fields:
                found.setdefault(name, cls)
    return found


def readers(name: str) -> list[str]:
    """Return the processes that read a setting."""
    by = [process for cls, process in READERS.items() if name in cls.model_fields]
    return list(dict.fromkeys(by))


@cache
def meanings(cls: type[BaseModel]) -> dict[str, str]:
    """Return the docstring below each field of a class and its bases."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if issubclass(each, BaseModel) and each.__module__.startswith("revocation."):
            tree = ast.parse(textwrap.dedent(inspect.getsource(each)))
            found |= docstrings(tree.body[0].body)
    return found


def settings_lines() -> Iterator[str]:
    yield _SETTINGS_HEAD
    known = declared()
    for cls, title in _SECTIONS.items():
        names = [name for name, by in known.items() if by is cls]
        if not names:
            continue
        yield f"## {title}\n"
        yield from _table("setting", "variable", "read by")
        for name in names:
            by = readers(name)
            said = "all" if {*by} == {*READERS.values()} else ", ".join(by)
            yield _row(cls, name, f"`REVOCATION_{name.upper()}`", said)
        yield ""
    for title, model in _TABLES.items():
        inherited = ClaimMapping.model_fields if model is TrustedIssuer else ()
        yield f"## {title}\n"
        if inherited:
            yield "Also all [members of `claims`](#members-of-claims).\n"
        yield from _table("member")
        for name in model.model_fields:
            if name not in inherited:
                yield _row(model, name)
        yield ""


def _table(*heads: str) -> Iterator[str]:
    yield cells(*heads, "type and range", "unit", "default", "meaning")
    yield cells(*["---"] * (len(heads) + 4))


def _row(cls: type[BaseModel], name: str, *more: str) -> str:
    field, meaning = cls.model_fields[name], meanings(cls)[name]
    unit = UNITS.get(name.rpartition("_")[2], "")
    kind = _kind(field.annotation, field.metadata)
    return cells(f"`{name}`", *more, kind, unit, _default(name, field), meaning)


def _kind(annotation: Any, metadata: Iterable[Any]) -> str:
    """Describe a type and what it is held to."""
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = [*metadata, *more]
    if get_origin(annotation) in (Union, UnionType):
        one, other = get_args(annotation)
        said = _kind(one, metadata)
        return said if other is NoneType else f"{said}, or empty"
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{each}`" for each in get_args(annotation))
    return f"{_name(annotation)}{_held_to(metadata)}"


def _name(annotation: Any) -> str:
    origin = get_origin(annotation) or annotation
    names = {str: "text", int: "whole number", float: "number", Path: "path"}
    names |= {bool: "`true` or `false`", tuple: "list", dict: "table"}
    is_table = isinstance(origin, type) and issubclass(origin, BaseModel)
    return "table" if is_table else names[origin]


def _held_to(metadata: Iterable[Any]) -> str:
    held_to = {
        name: getattr(each, name)
        for each in _flat(metadata)
        for name in ("ge", "gt", "le", "min_length", "max_length", "pattern")
        if getattr(each, name, None) is not None
    }
    bounds = {"ge": "from {}", "gt": "above {}", "le": "to {}", "pattern": "`{}`"}
    bounds |= {"min_length": "at least {} long", "max_length": "at most {} long"}
    said = [bounds[name].format(held_to[name]) for name in bounds if name in held_to]
    return f", {' '.join(said)}" if said else ""


def _flat(metadata: Iterable[Any]) -> Iterator[Any]:
    for each in metadata:
        yield from each.metadata if isinstance(each, FieldInfo) else (each,)


def _default(name: str, field: FieldInfo) -> str:
    if name in _MADE_DEFAULTS:
        return _MADE_DEFAULTS[name]
    default = field.get_default()
    if field.default_factory is not None:
        default = field.default_factory()
    if default is PydanticUndefined or field.validate_default:
        return "required"
    if default is None or default in ((), {}, ""):
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return ", ".join(f"`{each}`" for each in default)
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
