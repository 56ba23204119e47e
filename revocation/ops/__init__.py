"""What operators and developers use around the stations; no station imports it."""
