"""Whether a token is genuine, meant for us, and within its own times.

Read `authenticator.py` first: it applies the rules of `rules.py`, in their order. Then:

- `compact.py`: the form of a token (RFC 7515 section 7.1), taken apart strictly,
- `kinds.py`: access tokens told apart from all others,
- `keys.py`: keys that verify, read from a key set (RFC 7517),
- `jwks.py`: the keys of all issuers; `key_source.py` keeps one issuer's fresh,
- `fetch.py`: how a key set is read, and from where not,
- `explain.py`: the same rules for people, all of them; `findings.py` has the words,
- `discovery.py`: what an issuer publishes of itself.

Whom to trust is said in `revocation.trust`. Whether the token was revoked since is
another question: `revocation.verifier` asks both.
"""
