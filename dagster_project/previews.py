"""Features of Dagster 1.13 that warn because a later version may change them, used here all the same.

The version is pinned and tests hold what each feature does; anything else that warns stays visible.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from dagster import BetaWarning, PreviewWarning

# Without partitions of checks, the result of one wave hides that of another.
PARTITIONED_CHECKS = "Specifying a partitions_def on an AssetCheckSpec", PreviewWarning
# Without observable assets, Dagster cannot say which input of a wave has changed.
OBSERVABLE_ASSETS = "Function `multi_observable_source_asset`", BetaWarning
# As dagster-dbt shows the file of a model.
CODE_REFERENCES = "Class `(LocalFileCodeReference|CodeReferencesMetadataValue)`", BetaWarning


@contextmanager
def accepted(feature: tuple[str, type[Warning]]) -> Iterator[None]:
    """Silence the warning of one feature, and no other, where it is used."""
    message, category = feature
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message, category)
        yield
