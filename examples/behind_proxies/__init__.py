"""Services in other languages behind three real proxies, and one logout.

    make demo-proxies

Read `README.md`, then `service.mjs` and `service.go` (what is protected), `rules.toml`
(what the sidecar asks for), `system.py` (what runs), `services.py` and `proxies.py`
(how), `story.py` (what happens), `screen.py` (what is shown) and `__main__.py`.
"""
