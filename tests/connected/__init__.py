"""Tests of whole installations, beyond the promises."""
