"""The projector: reads entries and keeps one region's store. Runs on aiokafka.

Read `progress.py` (what may be claimed of a partition; pure), `epoch.py` (in which
epoch of the store it may write), then `projector.py` (in which order things are read,
written and claimed).
"""
