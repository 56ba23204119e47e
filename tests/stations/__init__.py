"""Unit tests of stations: no network, no servers; doubles stand for their peers."""
