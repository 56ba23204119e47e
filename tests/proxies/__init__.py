"""The configurations of `deploy/`, as they are, on the real proxies.

`examples/behind_proxies/proxies.py` fills in a configuration and runs the proxy. Here
are

- `service.py`: the service behind it, which records what reaches it,
- `client.py`: requests byte by byte, so that nothing tidies them up on the way,
- `region.py`: a store with the entries of the cases, and the tokens.
"""
