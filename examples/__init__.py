"""Small services that use the verifier; `docs/migrating.md` quotes them.

`behind_proxies/` has services that need none of it.
"""
