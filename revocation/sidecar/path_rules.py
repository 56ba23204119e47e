"""The rules file: what each path of the protected service needs. No IO.

    audience = "https://api.example/"     # where a rule names no other

    [[rules]]
    path = "/health"
    public = true

    [[rules]]
    path = "/datasets/{id}"
    methods = ["PUT", "DELETE"]
    route = "write"
    scopes = ["datasets:write"]
    resources = ["dataset:{id}"]

TOML, like the settings: the standard library reads it, a duplicate member is an error,
and no string turns into another type. Unknown members are refused: a typo must not
leave a path less protected than it looks. `rules_file.py` reads the file, and reloads
it when it changes.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from revocation.decision import StalenessPolicy
from revocation.errors import SettingsError
from revocation.jwt.trust import Audience
from revocation.sidecar.rule_set import METHODS, RuleSet
from revocation.web.routes import RouteRule

MAX_FILE_BYTES: Final = 1_048_576
_MAX_COMPLAINTS: Final = 10
_MAX_RULES: Final = 2_000

_Place = Sequence[str | int]
"""The path of names and indexes that leads to a member."""
_Fault = tuple[_Place, str]

_AT_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)$")


class _Rule(BaseModel):
    """One `[[rules]]`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str
    methods: Annotated[list[str], Field(min_length=1)] | None = None
    public: bool = False
    route: str | None = None
    audience: Audience | None = None
    scopes: list[str] = []
    resources: list[str] = []


class _File(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    audience: Audience | None = None
    rules: Annotated[list[_Rule], Field(max_length=_MAX_RULES)] = []


def read_rules(
    content: bytes, *, name: str, policies: Mapping[str, StalenessPolicy]
) -> RuleSet:
    """Return the rules in a file.

    Args:
        content: of the file.
        name: of the file, for messages.
        policies: by route class.

    Raises:
        SettingsError: a line `name:line: what is wrong` for each fault.
    """
    if len(content) > MAX_FILE_BYTES:
        raise SettingsError(
            f"{name} has {len(content)} bytes, of {MAX_FILE_BYTES} at most"
        )
    try:
        text = content.decode()
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{name}:{line}: is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _AT_LINE.search(message)
        line = int(found[1]) if found else len(text.splitlines())
        message = _AT_LINE.sub("", message)
        raise SettingsError(f"{name}:{line}: is not TOML: {message}") from None
    if not document:
        # A file truncated by a full disk, for instance: everything that paths need
        # besides a token would be lost.
        raise SettingsError(
            f"{name}:1: is empty; write rules, or `rules = []` if there are none"
        )
    read = _validate(document, policies)
    if isinstance(read, RuleSet):
        return read
    lines = text.split("\n")
    messages = [
        f"{name}:{_line_of(lines, document, place)}: {message}"
        for place, message in read[:_MAX_COMPLAINTS]
    ]
    if len(read) > len(messages):
        messages.append(f"and {len(read) - len(messages)} more")
    raise SettingsError("\n".join(messages))


def _validate(
    document: Mapping[str, Any], policies: Mapping[str, StalenessPolicy]
) -> RuleSet | list[_Fault]:
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return [(each["loc"], _explain(each["loc"], each["msg"])) for each in found]
    rules: list[RouteRule] = []
    faults: list[_Fault] = []
    for number, each in enumerate(file.rules):
        place = ("rules", number)
        broken = list(_find_faults(each, policies))
        faults += [((*place, member), message) for member, message in broken]
        if broken:
            continue
        try:
            rules.append(_rule(each))
        except SettingsError as error:
            faults.append(((*place, "path"), str(error)))
    faults += _unreached(file.rules)
    if faults:
        return faults
    return RuleSet(rules, policies=policies, audience=file.audience)


def _rule(read: _Rule) -> RouteRule:
    return RouteRule(
        path=read.path,
        methods=None if read.methods is None else frozenset(read.methods),
        public=read.public,
        route=read.route,
        audience=read.audience,
        scopes=tuple(read.scopes),
        resources=tuple(read.resources),
    )


def _find_faults(
    read: _Rule, policies: Mapping[str, StalenessPolicy]
) -> Iterator[tuple[str, str]]:
    """Yield the faults that only a sidecar can detect; `RouteRule` checks the rest."""
    unknown = sorted(set(read.methods or ()) - METHODS)
    if unknown:
        yield "methods", f"{', '.join(unknown)}: no such method (in upper case)"
    if read.route is not None and read.route not in policies:
        known = ", ".join(sorted(policies))
        yield "route", f"no policy for route class {read.route!r}; known: {known}"


def _unreached(rules: Iterable[_Rule]) -> Iterator[_Fault]:
    """Yield rules that an earlier one for the same path hides completely."""
    served: defaultdict[str, set[str]] = defaultdict(set)
    for number, each in enumerate(rules):
        wanted = METHODS if each.methods is None else set(each.methods)
        if wanted <= served[each.path]:
            message = "an earlier rule for the same path leaves nothing for this one"
            yield ("rules", number, "path"), message
        served[each.path] |= wanted


def _explain(place: _Place, message: str) -> str:
    named = [str(each) for each in place if isinstance(each, str)]
    if message == "Extra inputs are not permitted":
        message = "is not known here"
    return f"{'.'.join(named[-2:])}: {message}"


# Lines --------------------------------------------------------------------------------


def _line_of(lines: Sequence[str], document: Mapping[str, Any], place: _Place) -> int:
    """Return the line on which a member, or the table that lacks it, begins.

    `tomllib` reports no lines. But a file cut after any line is still TOML, unless the
    cut is inside a statement; so the first cut that has the member ends with it.
    """
    while place and not _has(document, place):
        place = place[:-1]
    low, high = 0, len(lines)
    while high - low > 1:
        middle = (low + high) // 2
        # A cut inside a long statement does not parse: search for the nearest that
        # does.
        cuts = (*range(middle, low, -1), *range(middle + 1, high))
        cut, read = next(
            ((cut, read) for cut in cuts if (read := _cut(lines, cut)) is not None),
            (high, None),
        )
        if read is None:
            break
        low, high = (low, cut) if _has(read, place) else (cut, high)
    return low + 1


def _cut(lines: Sequence[str], number: int) -> dict[str, Any] | None:
    """Return the content of the first lines, if they end with a statement."""
    try:
        return tomllib.loads("\n".join(lines[:number]))
    except tomllib.TOMLDecodeError:
        return None


def _has(document: Mapping[str, Any], place: _Place) -> bool:
    found: Any = document
    for each in place:
        try:
            found = found[each]
        except (KeyError, IndexError, TypeError):
            return False
    return True
