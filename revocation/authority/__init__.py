"""The authority: reads events, keeps the ledger, writes entries. Runs on Faust.

Read `conclude.py` (what one record leads to; pure), then `ledger_table.py` (where the
ledger lives), then `faust_app.py` (in which order records are sent, acknowledged and
committed; `ordered_producer.py` keeps that order) and `forwarded_reader.py` (how
records that other partitions forwarded come in).
"""
