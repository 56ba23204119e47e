"""Who is asked when a region is too far behind: the policy `introspect`.

`fallback_source.py` asks in safety, `fallback_chain.py` asks another region's store and
one source after the other, `web_fallbacks.py` another region's sidecar or the issuer.
"""
