"""Corrections of single values after delivery: asked for, approved by a second person, laid over bronze.

Belongs here: the ledger and its rules, and how approved corrections change rows. Does not belong
here: the chain that binds records (`chain.py`), what a value may be (`ingest/rows.py`).
"""
