"""In which class a line would land if it were dialled again as often.

connected' ~ BetaBinomial(n, y + 1/2, n - y + 1/2), the predictive distribution under Jeffreys' prior
(METHOD.md, Line classes). Computed by a recurrence of products, so that no two platforms' gamma
functions can disagree.
"""

import math
from collections.abc import Sequence


def predictive(attempts: int, connected: int) -> list[float]:
    """P(connected' = k) for k = 0..attempts, given `connected` of `attempts`; sums to 1 within 1e-12.

    Raises ValueError where connected does not lie within 0..attempts.
    """
    if not 0 <= connected <= attempts:
        raise ValueError(f"{connected} of {attempts} diallings connected")
    # Start at the mode and walk outwards: the ends underflow to 0 for large n, the ratios do not.
    a, b = connected + 0.5, attempts - connected + 0.5
    weights = [0.0] * (attempts + 1)
    weights[connected] = 1.0
    for k in range(connected, attempts):
        weights[k + 1] = weights[k] * (attempts - k) / (k + 1) * (k + a) / (attempts - k - 1 + b)
    for k in range(connected, 0, -1):
        weights[k - 1] = weights[k] * k / (attempts - k + 1) * (attempts - k + b) / (k - 1 + a)
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def class_probabilities(attempts: int, connected: int, classes: Sequence[tuple[int, str]]) -> dict[str, float]:
    """{class: probability} in a repeat of `attempts` diallings, rounded to 6 decimals.

    `classes`: (connections, class that they give, until the next begins), in order from 0 (`pub_class_outcomes`).
    """
    probabilities = predictive(attempts, connected)
    ends = [*(start for start, _ in classes[1:]), attempts + 1]
    parts: dict[str, list[float]] = {}
    for (start, name), end in zip(classes, ends, strict=True):
        parts.setdefault(name, []).extend(probabilities[start:end])
    return {name: round(math.fsum(values), 6) for name, values in parts.items()}
