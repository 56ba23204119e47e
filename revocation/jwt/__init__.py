"""Whether a token is genuine, intended for this service, and within its own times.

Read `trust.py` (the issuers that an installation trusts) and `authenticator.py`, which
applies the rules of `token_rules.py` in order. Then:

- `compact.py`: strict parsing of a token (RFC 7515 section 7.1),
- `kinds.py`: distinguishes access tokens from all other kinds,
- `keys.py`: verification keys, read from a key set (RFC 7517); `thumbprints.py`
  identifies the key in a JWK,
- `jwks.py`: the keys of all issuers; `key_source.py` refreshes one issuer's,
- `fetch.py`: how a key set is fetched, and from which addresses it is not,
- `trusted_issuers.py`: the setting `issuers`, with `presets/` applied,
- `explain.py`: reports every rule for people; `findings.py` formats the values,
- `issuer_discovery.py`: the metadata that an issuer publishes.

Whether the token was revoked is a separate question; `revocation.verifier` answers
both.
"""
