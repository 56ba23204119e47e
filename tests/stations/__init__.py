"""Unit tests of stations: no network, no servers; what they talk to is played."""
