"""The claims that an event gives: values by name."""

from typing import Annotated, Any, Final

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from revocation.claims.claim_sets import MAX_CLAIMS, MAX_WHOLE, claims_id
from revocation.entries import MAX_ID_CHARACTERS
from revocation.events.whole_token import WHOLE_TOKEN, peek

_MAX_NAME: Final = 256


def _read(value: Any) -> Any:
    """Validate by hand: pydantic's error locations would quote the claim names sent."""
    if not isinstance(value, dict) or not 0 < len(value) <= MAX_CLAIMS:
        raise ValueError(f"name 1 to {MAX_CLAIMS} claims")
    if not all(isinstance(name, str) and 0 < len(name) <= _MAX_NAME for name in value):
        raise ValueError(f"the name of a claim must have 1 to {_MAX_NAME} characters")
    if any(isinstance(each, float) for each in value.values()):
        raise ValueError("a claim must be text, a whole number or a boolean")
    if any(isinstance(each, str) and peek(each) for each in value.values()):
        raise PydanticCustomError(
            WHOLE_TOKEN, "a claim is a whole JWT; send the token's value of that claim"
        )
    claims_id(value)
    return value


Claims = Annotated[
    dict[str, str | int | bool],
    PlainValidator(_read),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": MAX_CLAIMS,
            "propertyNames": {"minLength": 1, "maxLength": _MAX_NAME},
            "additionalProperties": {
                "type": ["string", "integer", "boolean"],
                "minLength": 1,
                "maxLength": MAX_ID_CHARACTERS,
                "minimum": -MAX_WHOLE,
                "maximum": MAX_WHOLE,
            },
        }
    ),
    Field(
        description="A value for each claim of one set of the setting "
        "`revocable_claims`, by the names that it has there. Tokens that have all of "
        "them are concerned; a list has the value of each of its members."
    ),
]
"""Values are never converted: a whole number has no fraction, not even 0."""
