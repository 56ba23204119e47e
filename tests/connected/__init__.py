"""Tests of whole installations that are no promise of their own."""
