"""p values of a study's tests, corrected for the number of tests of their kind."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from handan.alignment.statistics.basic import (
    FloatArray,
    benjamini_hochberg,
    finite_or_none,
    holm,
)


def holm_family(rows: list[dict], of: str = "p") -> None:
    """Add 'p_holm' (or ``of``_holm), p values ``of`` rows adjusted over all of them."""
    _adjust(rows, of, f"{of}_holm", holm)


def bh_family(rows: list[dict]) -> None:
    """Add 'p_bh' to rows of ``difference``, after Benjamini and Hochberg."""
    _adjust(rows, "p", "p_bh", benjamini_hochberg)


def _adjust(
    rows: list[dict], of: str, name: str, method: Callable[[FloatArray], FloatArray]
) -> None:
    p_values = np.array([np.nan if row[of] is None else row[of] for row in rows])
    for row, adjusted in zip(rows, method(p_values), strict=True):
        row[name] = finite_or_none(adjusted)


def p_from_interval(row: Mapping[str, Any]) -> float | None:
    """The two-sided p of 'the correlation is 0' that its 95 % interval implies.

    On Fisher's z the bound nearer to 0 is as many standard errors from the estimate as Student's t
    has at .025, with S - 1 degrees of freedom for S seeds and n - 2 for one (after Altman and Bland
    2011, who take the normal distribution). Below .05 where the interval leaves out 0.

    Args:
        row: of ``estimate``; only 'value', 'ci', 'seeds_defined' and 'n' are used.
    """
    if row["value"] is None or row["ci"] is None:
        return None
    freedom = row["seeds_defined"] - 1 if row["seeds_defined"] > 1 else row["n"] - 2
    near = row["ci"][0] if row["value"] > 0 else row["ci"][1]
    with np.errstate(divide="ignore", invalid="ignore"):
        z, bound = np.arctanh([row["value"], near])
        t = stdtrit(freedom, 0.975) * abs(z) / abs(z - bound)
    return finite_or_none(2 * stdtr(freedom, -t))
