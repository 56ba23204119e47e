"""What a token's claims name, and whether an event could ever revoke it. Pure.

Read `claims.py` (from a claims set to the targets that can revoke it), then:

- `claim_names.py`: how settings name claims, also nested ones,
- `claim_picking.py`: reads the usual claims of most tokens in one go,
- `claim_sets.py`: claims that an installation made revocable,
- `complaints.py`: why a claims set cannot be checked,
- `claim_mapping.py`: the settings; `reach.py`: which events reach which tokens.
"""
