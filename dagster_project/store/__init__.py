"""A copy of what is published, and of the bronze that it was made from, in an S3-compatible store.

The installation's own disk is the truth. The store is written by it and read by others; nothing is
ever made from the store that the hashes of a release do not bear out.
"""
