"""The sidecar: the verifier over HTTP, for services in any language.

Read `http.py`.
"""
