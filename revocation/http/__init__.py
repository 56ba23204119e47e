"""An HTTP/1.1 server: TCP and unix sockets, TLS, limits, graceful shutdown.

It knows nothing of tokens; the sidecar gives it a handler. Read `messages.py` (requests
and responses), then `framing.py` (where a request ends; pure), `http_connection.py`
(one connection), `http_server.py` and `listening.py` (sockets), `server_state.py` (what
connections share), `write_batcher.py`, `http_faults.py` (the server's own errors).
`health.py` serves `/metrics` and `/healthz` for stations that serve nothing else.
"""
