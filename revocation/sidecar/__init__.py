"""The sidecar: the verifier over HTTP and gRPC, for services and proxies.

Read `endpoints.py`, then:

- `authorizer.py`: whether a proxy may forward a request; `proxies.py` has their
  dialects over HTTP, `ext_authz.py` Envoy's gRPC,
- `rule_set.py`: what paths require; `path_rules.py` reads the file, `rules_file.py`
  follows it,
- `checks.py`: verdicts about claims and tokens; `introspect.py` is RFC 7662,
- `sidecar.py`: assembles it on the server of `revocation.http`, by the settings;
  `openapi.py` describes it.
"""
