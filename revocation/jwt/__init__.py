"""Whether a token is genuine, meant for us, and within its own times.

Read `trust.py` (whom an installation trusts) and `authenticator.py`, which applies the
rules of `token_rules.py` in their order. Then:

- `compact.py`: the form of a token (RFC 7515 section 7.1), taken apart strictly,
- `kinds.py`: access tokens told apart from all others,
- `keys.py`: keys that verify, read from a key set (RFC 7517); `thumbprints.py` knows
  which key a JWK holds,
- `jwks.py`: the keys of all issuers; `key_source.py` keeps one issuer's fresh,
- `fetch.py`: how a key set is read, and from where not,
- `trusted_issuers.py`: the setting `issuers`, with `presets/` filled in,
- `explain.py`: the same rules for people, all of them; `findings.py` has the words,
- `issuer_discovery.py`: what an issuer publishes of itself.

Whether the token was revoked since is another question:
`revocation.verifier` asks both.
"""
