"""The projector reads entries and maintains one region's store. It runs on aiokafka.

Read `progress.py` (what a region may claim of a partition; pure), `epoch.py` (which
epoch of the store it may write in), then `projector.py` (the order in which it reads,
writes and claims).
"""
