"""What operators ask of a running installation.

`status_report.py` holds what was found, `status_judge.py` says what is wrong and what
to do, and `dead_letters.py` finds the records that were set aside.
"""
