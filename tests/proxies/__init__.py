"""The configurations of `deploy/`, unmodified, on the real proxies.

`examples/behind_proxies/proxies.py` fills in a configuration and runs the proxy. This
folder has:

- `service.py`: the service behind it, which records what reaches it,
- `client.py`: requests byte by byte, so that no library normalises them,
- `region.py`: a store with the entries of the cases, and the tokens.
"""
