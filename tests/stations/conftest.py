"""A loaded machine must not fail a law: examples have no deadline."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "stations", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("stations")
