"""When things happen in a wave's field period.

Belongs here: days and times of calls and visits. Times are local wall-clock times (UTC+8)
without a zone. Does not belong here: how a vendor writes a time.
"""

from dataclasses import dataclass

import numpy as np

OPENING, CLOSING = 8 * 3600 + 1800, 20 * 3600  # callers and coders work from 8:30 to 20:00
TAIL_DAYS = 20  # nothing new is begun in the last days, so that redials and replies fall into the period


@dataclass(frozen=True)
class Calendar:
    """A field period: first day, and number of days including the last."""

    start: np.datetime64
    days: int

    @property
    def tail(self) -> int:
        return min(TAIL_DAYS, self.days // 3)

    def first_days(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Days (from 0) on which something is begun."""
        return rng.integers(0, max(1, self.days - self.tail), size)

    def seconds(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Seconds of the day, within working hours."""
        return rng.integers(OPENING, CLOSING, size)

    def at(self, days: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """Times, none of them later than the last day's closing."""
        last = np.minimum(days, self.days - 1)
        return (self.start + last.astype("timedelta64[D]")).astype("datetime64[s]") + seconds.astype("timedelta64[s]")


def calendar(period_start: object, period_end: object) -> Calendar:
    """The field period between two dates, both included."""
    start, end = np.datetime64(str(period_start), "D"), np.datetime64(str(period_end), "D")
    return Calendar(start, int((end - start).astype(int)) + 1)
