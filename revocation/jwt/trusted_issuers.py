"""The setting `issuers`: applies presets and expands templates for tenants. No IO.

For a provider with one `iss` per tenant, such as
`https://login.microsoftonline.com/{tid}/v2.0`, the setting has a template and a list of
trusted tenants; there is no way to trust all. The braces contain the name of a claim,
which must have the tenant's value.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from revocation.claims.claim_names import ClaimName
from revocation.jwt.presets import preset
from revocation.jwt.trust import Issuer, TrustedIssuer

_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MAX_TENANTS: Final = 10_000
_CLAIM_NAME: Final[TypeAdapter[str]] = TypeAdapter(ClaimName)

_Named = tuple[str, Any]


def _expand(value: Any) -> Any:
    """Return each issuer by its exact `iss`, with the key set of its preset."""
    if not isinstance(value, Mapping):
        return value
    expanded: dict[Any, Any] = {}
    for name, options in value.items():
        for issuer, each in _expand_one(name, options):
            if issuer in expanded:
                raise ValueError(f"{issuer} is named twice; name it once")
            expanded[issuer] = each
    return expanded


def _expand_one(name: Any, options: Any) -> Iterator[_Named]:
    if not isinstance(options, Mapping) or not isinstance(name, str):
        _refuse_place(name)
        yield name, options
        return
    given = dict(options)
    tenants = given.pop("tenants", None)
    if "{" not in name:
        if tenants is not None:
            raise ValueError(
                f"{name} has `tenants` but no placeholder for them; put the claim that "
                "distinguishes them in braces, such as {tid}"
            )
        yield name, _with_key_set(name, given)
        return
    claim = _claim_in(name)
    for tenant in _tenants(name, tenants):
        place = f"{{{claim}}}"
        issuer = name.replace(place, tenant)
        url = given.get("jwks_url")
        own = {"jwks_url": url.replace(place, tenant)} if isinstance(url, str) else {}
        values = _with_value(given, claim, tenant)
        yield issuer, _with_key_set(issuer, given | own | {"required_values": values})


def _with_value(given: Mapping[str, Any], claim: str, tenant: str) -> Any:
    own = given.get("required_values", {})
    if not isinstance(own, Mapping):
        return own
    if claim in own:
        raise ValueError(
            f"required_values has `{claim}`, which `tenants` already sets; remove it"
        )
    return {**own, claim: tenant}


def _refuse_place(name: Any) -> None:
    """Refuse a template for an already validated issuer: it would become an `iss`."""
    if isinstance(name, str) and "{" in name:
        raise ValueError(f"{name} is a template; write its settings as a table")


def _with_key_set(issuer: str, given: dict[str, Any]) -> dict[str, Any]:
    name = given.get("preset")
    if not isinstance(name, str) or {"jwks_url", "jwks_file"} & given.keys():
        return given
    url = preset(name).key_set_url(issuer)
    if url is None:
        raise ValueError(
            f"{issuer}: the preset {name} does not know where the key set is; set "
            "jwks_url, which `revocation issuers discover` finds"
        )
    return {**given, "jwks_url": url}


def _claim_in(name: str) -> str:
    places = _PLACE.findall(name)
    if len(places) != 1 or name.count("{") != 1 or name.count("}") != 1:
        raise ValueError(f"{name} must have one claim in braces, such as {{tid}}")
    try:
        return _CLAIM_NAME.validate_python(places[0])
    except ValidationError:
        raise ValueError(
            f"{name} has no claim in its braces, such as {{tid}}"
        ) from None


def _tenants(name: str, tenants: Any) -> list[str]:
    if not isinstance(tenants, list | tuple) or not tenants:
        raise ValueError(
            f"{name} is a template; list the trusted tenants as `tenants`, since no "
            "others are accepted"
        )
    if len(tenants) > _MAX_TENANTS:
        raise ValueError(f"{name} has more than {_MAX_TENANTS} tenants")
    for tenant in tenants:
        if not isinstance(tenant, str) or _TENANT.fullmatch(tenant) is None:
            raise ValueError(
                f"{name} has a tenant whose name is not text of 1 to 128 letters, "
                "digits, `.`, `_` and `-` that begins with a letter or digit; "
                "wildcards are not supported"
            )
    return list(tenants)


TrustedIssuers = Annotated[dict[Issuer, TrustedIssuer], BeforeValidator(_expand)]
"""Trusted issuers, by the exact `iss` of their tokens."""
