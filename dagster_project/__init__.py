"""The pipeline behind the annual 12345 hotline quality report.

Nothing is imported here: the command line starts in milliseconds because each
module imports what it needs where it needs it.
"""
