"""The authority: reads events, keeps the ledger, writes entries. Runs on Faust.

Read `conclude.py` (what one record leads to; pure), then `table.py` (where the ledger
lives), then `app.py` (in which order things are sent, acknowledged and committed) and
`forwarded.py` (how what other partitions forwarded comes in).
"""
