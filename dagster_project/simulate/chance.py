"""Where every random number of the simulator comes from.

Belongs here: named streams of one seed. Does not belong here: what is drawn from them.
"""

import zlib

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """An independent PCG64 stream for these names: adding one elsewhere changes no other."""
    words = [zlib.crc32(name.encode("utf-8")) for name in names]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))


def settled(values: np.ndarray) -> np.ndarray:
    """Floats rounded to six decimals, so that a processor's last digit decides nothing."""
    return np.round(values, 6)
