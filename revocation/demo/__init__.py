"""`revocation demo`: watch real tokens die in three regions.

Read `story.py` (what happens), then `service.py` (what is protected), `issuer.py` (who
signs) and `screen.py` (what is shown).
"""
