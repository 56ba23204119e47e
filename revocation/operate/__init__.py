"""The state of a running installation, for operators.

`status_report.py` holds the findings and the report, `status_judge.py` derives what is
wrong and what to do, and `dead_letters.py` finds the parked records.
"""
