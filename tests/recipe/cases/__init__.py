"""Cases of verdicts with the reason that a person expects: input of `vectors.py`.

- `case.py`: what a case is, and the token that most are about,
- `known_cases.py`: what the store may know, and which reason comes first,
- `named_cases.py`: which targets a token names, and under which keys they lie,
- `issuer_cases.py`: how an issuer names its claims, and how it dates its tokens,
- `combined_cases.py`: claims that were made revocable, alone or combined,
- `unverifiable_cases.py`: tokens that no event could name or no cut-off reach,
- `agreement_cases.py`: regions that are not read as they were written,
- `timed_cases.py`: ages, leeways, versions close to a cut-off, stale knowledge.
"""

from typing import Final

from tests.recipe.cases import (
    agreement_cases,
    combined_cases,
    issuer_cases,
    known_cases,
    named_cases,
    timed_cases,
    unverifiable_cases,
)
from tests.recipe.cases.case import Case

CASES: Final[tuple[Case, ...]] = (
    *known_cases.CASES,
    *named_cases.CASES,
    *issuer_cases.CASES,
    *combined_cases.CASES,
    *unverifiable_cases.CASES,
    *timed_cases.CASES,
    *agreement_cases.CASES,
)
