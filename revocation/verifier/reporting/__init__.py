"""What a verifier reports about its verdicts.

`verdict_counter.py` counts them, `rejection_reporter.py` sends uses of revoked tokens
to Kafka (`rejection_sampling.py` selects them), `version_watch.py` detects implausible
versions, and `out_of_reach.py` logs at start which tokens no event reaches.
"""
