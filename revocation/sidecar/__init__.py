"""The sidecar: the verifier over HTTP and gRPC, for services and proxies.

Read `endpoints.py`, then:

- `authorizer.py`: may a proxy pass a request on; `proxies.py` has their dialects over
  HTTP, `ext_authz.py` Envoy's gRPC,
- `rule_set.py`: what paths ask for; `path_rules.py` reads the file, `rules_file.py`
  follows it,
- `checks.py`: verdicts about claims and tokens; `introspect.py` is RFC 7662,
- `sidecar.py`: all of it on the server of `revocation.http`, as the settings say;
  `openapi.py` describes it.
"""
