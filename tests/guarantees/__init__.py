"""Promises, each in a test that first shows it broken."""
