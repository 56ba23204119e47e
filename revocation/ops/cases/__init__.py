"""Cases of verdicts with the reason that a person expects: input of `ops.vectors`.

- `case.py`: what a case is, and the token that most are about,
- `known.py`: what the store may know, and which reason comes first,
- `named.py`: which targets a token names, and under which keys they lie,
- `issuers.py`: what the claims of an issuer are called, and how it dates its tokens,
- `combined.py`: claims that were made revocable, alone or combined,
- `unverifiable.py`: tokens that no event could name or no cut-off reach,
- `agreement.py`: regions that are not read as they were written,
- `timed.py`: ages, leeways, versions close to a cut-off, stale knowledge.
"""

from typing import Final

from revocation.ops.cases import (
    agreement,
    combined,
    issuers,
    known,
    named,
    timed,
    unverifiable,
)
from revocation.ops.cases.case import Case

CASES: Final[tuple[Case, ...]] = (
    *known.CASES,
    *named.CASES,
    *issuers.CASES,
    *combined.CASES,
    *unverifiable.CASES,
    *timed.CASES,
    *agreement.CASES,
)
