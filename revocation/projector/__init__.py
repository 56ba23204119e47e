"""The projector: reads entries and keeps one region's store. Runs on aiokafka.

Read `progress.py` (what may be claimed of a partition; pure), then `station.py` (in
which order things are read, written and claimed).
"""
