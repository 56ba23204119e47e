"""Event-driven token revocation with provable freshness."""
