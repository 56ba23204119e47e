"""Small services that use the verifier; `docs/migrating.md` quotes them."""
