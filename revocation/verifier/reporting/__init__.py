"""What a verifier reports of its verdicts.

`verdict_counter.py` counts them, `rejection_reporter.py` sends uses of revoked tokens
to Kafka (`rejection_sampling.py` says which), `version_watch.py` doubts versions, and
`out_of_reach.py` says at start what no event reaches.
"""
