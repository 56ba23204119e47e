"""Claimed: work in progress."""
