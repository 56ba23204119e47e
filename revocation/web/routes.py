"""The requirements of a request: its route class, its resources and scopes. Pure.

Writing a path in another way must never bypass a rule. So a path that servers, proxies
and frameworks may read differently is refused (`is_canonical`); a public rule matches
exactly; and a protected one also where a lenient framework would match: with a trailing
slash, or in other upper and lower case.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar

from revocation.entries import MAX_ID_CHARACTERS
from revocation.errors import SettingsError
from revocation.web.bearer import check_scopes
from revocation.web.credentials import SAFE_METHODS

WEBSOCKET: Final = "WEBSOCKET"
"""Used as the method of a request that opens a WebSocket."""

# Control characters, lone surrogates and the replacement character; a backslash, which
# some servers read as a slash; `;`, where some cut; `?` and `#`, where a URL's path
# would end; `%`, which some decode a second time.
_AMBIGUOUS: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd\\\\;?#%]")
_ENCODED_SLASH: Final = re.compile(rb"%2f|%5c", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\{([a-zA-Z_]\w*)(?::(int|uuid))?\}")
_RESOURCE_TYPE: Final = re.compile(r"[^:{}]+:.")


class Type(Enum):
    """The canonical spelling of a value, so that one resource has one name.

    `int("042")` and `int("4_2")` are 42 too: as `dataset:042`, they would bypass a
    revocation of `dataset:42`.
    """

    ANY = re.compile(r"[\s\S]+")
    INT = re.compile(r"0|[1-9][0-9]{0,18}")
    UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

    def resembles(self, value: str) -> bool:
        """Return whether some software may read the value as one of this type."""
        if self is Type.INT:
            return any(character.isnumeric() for character in value)
        least_hex_digits = 16
        return len(re.findall(r"[0-9a-fA-F]", value)) >= least_hex_digits


class AccessNeeds(NamedTuple):
    """What a request needs."""

    public: bool
    route: str
    resources: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceTemplate:
    """The name of a resource with values from the path, such as `dataset:{id}`.

    `{id:int}` and `{id:uuid}` accept one spelling of each value only. Use them if the
    service reads the value as a number or a UUID.
    """

    text: str

    def __post_init__(self) -> None:
        """Check.

        Raises:
            SettingsError: the text does not begin with the type of the resource.
        """
        plain = _VARIABLE.sub("x", self.text)
        if _RESOURCE_TYPE.match(self.text) is None or set("{}") & set(plain):
            raise SettingsError(
                f"{self.text!r} names no resource; write it as 'dataset:{{id}}'"
            )

    @property
    def names(self) -> frozenset[str]:
        """The names of the values it needs."""
        return frozenset(match[1] for match in _VARIABLE.finditer(self.text))

    def fill(self, values: Mapping[str, Any]) -> str | None:
        """Return the resource's name, or None if a value is not canonical.

        Raises:
            SettingsError: the path has no value of that name.
        """
        missing = self.names - values.keys()
        if missing:
            raise SettingsError(
                f"{self.text!r} needs {sorted(missing)} of the path, which has "
                f"{sorted(values)}; use the names of the path"
            )
        for match in _VARIABLE.finditer(self.text):
            value = str(values[match[1]])
            if _type_named(match[2]).value.fullmatch(value) is None:
                return None
        filled = _VARIABLE.sub(lambda match: str(values[match[1]]), self.text)
        return filled if len(filled) <= MAX_ID_CHARACTERS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule:
    """What requests to one path need.

    Attributes:
        path: such as `/datasets/{id}`; a value is one segment, `{id:int}` and
            `{id:uuid}` accept one spelling of each value only.
        methods: in upper case; `GET` is `HEAD` as well, `WEBSOCKET` opens a WebSocket.
            None for all of them.
        public: no token is needed; one that is sent is ignored.
        route: the route class; None for `read` with a safe method, else `write`.
        resources: what the request touches, such as `dataset:{id}`.
        scopes: all of them are required.
        audience: an additional `aud` that the token must have.
    """

    path: str
    methods: Collection[str] | None = None
    public: bool = False
    route: str | None = None
    resources: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    audience: str | None = None

    def __post_init__(self) -> None:
        """Check.

        Raises:
            SettingsError: names the path and what is wrong.
        """
        asks = self.route or self.resources or self.scopes or self.audience
        if self.public and asks:
            raise SettingsError(
                f"the rule for {self.path!r} is public but has requirements; choose one"
            )
        if isinstance(self.methods, str) or any(
            method != method.upper() for method in self.methods or ()
        ):
            raise SettingsError(
                f"the rule for {self.path!r} has methods {self.methods!r}; write a "
                "set of upper-case names"
            )
        check_scopes(self.scopes)
        known = {name for name, _ in _parse(self.path) if name is not None}
        for resource in self.resources:
            missing = ResourceTemplate(resource).names - known
            if missing:
                raise SettingsError(
                    f"{resource!r} needs {sorted(missing)}, which {self.path!r} lacks"
                )


class Routes:
    """The rules of a service, tried in order; the first match applies."""

    def __init__(self, rules: Iterable[RouteRule]) -> None:
        """Prepare."""
        # Indexed by the shape of the rules' paths: a client that requests ever new
        # paths must not make us try thousands of rules, twice.
        self._compiled: dict[_Shape, dict[_Literals, list[tuple[int, _Compiled]]]] = {}
        for number, rule in enumerate(rules):
            compiled = _Compiled(rule)
            alike = self._compiled.setdefault(compiled.shape, {})
            alike.setdefault(compiled.literals, []).append((number, compiled))

    def find(self, method: str, path: str) -> AccessNeeds | None:
        """Return what a request needs, or None if a value is not canonical.

        A path without a rule is protected: a read with a safe method, else a write.

        Args:
            method: in upper case, or `WEBSOCKET`.
            path: as the service sees it, decoded; must be canonical.
        """
        given = path.split("/")
        near = self._find_near(given)
        for exact in (True, False):
            for compiled in near:
                if not compiled.serves(method) or (compiled.rule.public and not exact):
                    continue
                values = compiled.match(given, exact=exact)
                if values is _REFUSED:
                    return None
                if values is not None:
                    return compiled.ask(method, values)
        return AccessNeeds(public=False, route=route_class_of(method))

    def _find_near(self, given: Sequence[str]) -> list["_Compiled"]:
        """Return the rules that match except for values, slash and case, in order."""
        folded = [each.casefold() for each in _without_end(given)]
        found: list[tuple[int, _Compiled]] = []
        for (length, places), alike in self._compiled.items():
            if length == len(folded):
                literals = tuple([folded[place] for place in places])
                found += alike.get(literals, ())
        return [compiled for _, compiled in sorted(found, key=_number_of)]


def is_canonical(path: str, raw_path: bytes | None = None) -> bool:
    """Return whether all software reads the path in the same way.

    Args:
        path: as the service sees it, decoded.
        raw_path: as it was sent, if the server provides it.
    """
    # Some servers leave the query in the raw path.
    if raw_path is not None and _ENCODED_SLASH.search(raw_path.partition(b"?")[0]):
        return False
    if not path.startswith("/") or _AMBIGUOUS.search(path):
        return False
    *inner, last = path[1:].split("/")
    if "" in inner:
        return False
    # Some file systems and databases ignore a space at the end.
    return not any(
        each in {".", ".."} or each != each.strip() for each in (*inner, last)
    )


_Values = Mapping[str, str]
_REFUSED: Final[_Values] = {"": ""}
"""Some software may read a value as another one."""


class _Compiled:
    """A rule whose path has been parsed."""

    def __init__(self, rule: RouteRule) -> None:
        self.rule = rule
        self._segments = _parse(rule.path)
        texts = [what for _, what in self._segments]
        literals = [
            (place, what.casefold())
            for place, what in enumerate(_without_end(texts))
            if isinstance(what, str)
        ]
        self.shape: _Shape = (len(_without_end(texts)), tuple(p for p, _ in literals))
        self.literals: _Literals = tuple(text for _, text in literals)
        self._resources = [ResourceTemplate(each) for each in rule.resources]

    def serves(self, method: str) -> bool:
        methods = self.rule.methods
        if methods is None or method in methods:
            return True
        return method == "HEAD" and "GET" in methods

    def match(self, given: Sequence[str], *, exact: bool) -> _Values | None:
        """Return the values of a path near this one, or None."""
        wanted: Sequence[_Segment] = self._segments
        if not exact:
            wanted = wanted[:-1] if wanted[-1] == _END else wanted
            given = _without_end(given)
        if len(wanted) != len(given):
            return None
        values, refused = {}, False
        for (name, what), segment in zip(wanted, given, strict=True):
            if isinstance(what, str):
                if exact and what != segment:
                    return None
            elif name is not None and what.value.fullmatch(segment):
                values[name] = segment
            elif segment and what.resembles(segment):
                refused = True
            else:
                return None
        return _REFUSED if refused else values

    def ask(self, method: str, values: _Values) -> AccessNeeds | None:
        rule = self.rule
        resources = [template.fill(values) for template in self._resources]
        named = tuple(each for each in resources if each is not None)
        if len(named) < len(resources):
            return None
        route = rule.route or route_class_of(method)
        audiences = () if rule.audience is None else (rule.audience,)
        return AccessNeeds(rule.public, route, named, rule.scopes, audiences)


_Segment = tuple[str | None, str | Type]
"""The name of a value and its type, or None and the literal text."""

_END: Final[_Segment] = (None, "")

_Shape = tuple[int, tuple[int, ...]]
"""The number of segments without a trailing slash, and the indexes of literal ones."""
_Literals = tuple[str, ...]
_number_of: Final = itemgetter(0)
_Part = TypeVar("_Part")


def _without_end(segments: Sequence[_Part]) -> Sequence[_Part]:
    """Drop an empty last segment: a trailing slash."""
    return segments[:-1] if segments[-1] == "" else segments


def _parse(path: str) -> tuple[_Segment, ...]:
    segments: list[_Segment] = []
    for text in path.split("/"):
        match = _VARIABLE.fullmatch(text)
        if match is not None:
            segments.append((match[1], _type_named(match[2])))
        elif set("{}") & set(text):
            raise SettingsError(
                f"{text!r} in the path {path!r} is no value; write '{{id}}', "
                "'{id:int}' or '{id:uuid}' between two slashes"
            )
        else:
            segments.append((None, text))
    names = [name for name, _ in segments if name is not None]
    if not is_canonical(path) or len(set(names)) < len(names):
        raise SettingsError(f"the path {path!r} is ambiguous; write it as '/a/{{id}}'")
    return tuple(segments)


def _type_named(name: str | None) -> Type:
    return Type.ANY if name is None else Type[name.upper()]


def route_class_of(method: str) -> str:
    """Return the default route class of a method."""
    return "read" if method in SAFE_METHODS else "write"
