"""A release: a frozen folder that holds everything a reader needs, and is published whole or not at all.

Belongs here: what is in a release, its name, writing and switching it, reading one as a baseline.
Does not belong here: computing anything that is published (dbt, statistics/).
"""
