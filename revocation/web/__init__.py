"""Protects Python web services: from a request to a verdict or a refusal.

- `credentials.py`: finds a request's token, and decides whether it may be used,
- `routes.py`: the requirements of a request, by its method and path,
- `access_guard.py`: the steps from a request to a verification or a refusal,
- `bearer.py`: the refusals (RFC 6750),
- `asgi.py`: all of that as ASGI middleware; `fastapi.py`: as a dependency.
"""
