"""The authority reads events, keeps the ledger and writes entries. It runs on Faust.

Read `conclude.py` (what one record leads to; pure), then `ledger_table.py` (where the
ledger lives), then `faust_app.py` (the order in which records are sent, acknowledged
and committed; `ordered_producer.py` keeps it) and `forwarded_reader.py` (reads the
records that other partitions forwarded).
"""
