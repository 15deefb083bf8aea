"""Calibrated synthetic waves: what a vendor would have handed over, probe by probe.

Belongs here: lines with a latent quality, what happens to their probes, and the
export files of `raw/profiles/`. Does not belong here: a score. The simulator shapes
probes until the published national figures come out of them; it writes none.
"""

from dagster_project.simulate.wave import simulate_wave

__all__ = ["simulate_wave"]
