"""Text that is made of claims: each number, order and direction in it is bound to figures and checked.

Belongs here: what can be claimed and when it holds (`claim.py`), how it is declared (`declared.py`),
the report's own text (`narrative.py`), the check of any other text (`audit.py`).
Does not belong here: computing figures (dbt), how a text looks on a page (report/).
"""
