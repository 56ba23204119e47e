"""The targets that a token's claims name, and whether events can revoke it. Pure.

Read `claims.py` (from a claims set to the targets that can revoke it), then:

- `claim_names.py`: how settings name claims, including nested ones,
- `claim_picking.py`: a fast path for the claims that most tokens have,
- `claim_sets.py`: the revocable claims of an installation,
- `claim_problems.py`: why a claims set cannot be checked,
- `claim_mapping.py`: the settings; `reach.py`: which events reach which tokens.
"""
