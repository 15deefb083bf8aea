"""How sure a published number is: pure functions from counts and scores to probabilities.

Does not belong here: a score or a class rule (dbt has them), reading or writing files.
"""
