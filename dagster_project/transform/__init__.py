"""From bronze to what may be published: the two dbt steps and what they recompute.

Belongs here: running dbt, and knowing which lines a run must recompute.
Does not belong here: a score (that is SQL, in dbt/), a bound (expectations/).
"""
