"""The pure modules: no IO, no clock, and every branch run by a test.

`python -m tests.structure.pure` prints their paths for `make coverage`.
"""

CORE = [
    "errors.py",
    "entries.py",
    "updates.py",
    "events/event_data.py",
    "events/cloud_events.py",
    "events/lenient_reading.py",
    "events/binary_mode.py",
    "events/whole_token.py",
    "topics.py",
    "ledger.py",
    "claims/claim_names.py",
    "claims/claim_sets.py",
    "claims/claims.py",
    "decision.py",
    "store/layout.py",
]
PURE = [
    *CORE,
    "authority/conclude.py",
    "projector/progress.py",
    "verifier/replica.py",
]


if __name__ == "__main__":
    print(*(f"revocation/{name}" for name in PURE), sep=",")
