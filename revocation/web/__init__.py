"""How web services ask: from a request to a verdict, and to an answer if it rejects.

- `credentials.py`: where the token is in a request, and whether it may be used,
- `routes.py`: what a request is about, by its method and path,
- `access_guard.py`: the steps from a request to a verification or a refusal,
- `bearer.py`: the refusals (RFC 6750),
- `asgi.py`: all that as ASGI middleware; `fastapi.py`: as a dependency.
"""
