"""Other sources to ask when a region is too far behind: the policy `introspect`.

`fallback_source.py` limits requests in time and number, `fallback_chain.py` asks
another region's store and tries sources in order, `web_fallbacks.py` asks another
region's sidecar or the issuer.
"""
