"""The one partition of everything: the wave. Which lines of it are recomputed is run config."""

import dagster as dg

waves = dg.DynamicPartitionsDefinition(name="waves")
