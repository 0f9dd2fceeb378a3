"""The correlation that responses cut at the token cap would have had, had they gone on.

A response cut at the cap is right-censored: its cost is at least what was counted. If the cap is
ignored, the longest responses look shorter than they are and r is wrong; if they are dropped, the
hardest items are. The censored regression of Tobin 1958 uses what is known: log cost = alpha +
beta x + sigma e with normal e, where a censored cost only says that log cost is larger.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, stdtrit

from handan.alignment.statistics.basic import FloatArray, pearson
from handan.alignment.statistics.correlate import UNDEFINED, Correlation

# Below this many costs that are known exactly, the line rests on the distribution alone.
LEAST_KNOWN = 6


def censored_correlation(x: FloatArray, y: FloatArray, censored: NDArray[np.bool_]) -> Correlation:
    """r of x with y, where some y are lower bounds, by maximum likelihood; and its interval.

    r = beta s_x / sqrt(beta^2 s_x^2 + sigma^2), with the standard deviation s_x of x (divided by
    n). Without censoring this is Pearson's r exactly. The likelihood is concave in (alpha, beta,
    1) / sigma (Olsen 1978). The interval is that of z = arctanh r with a robust standard error:
    the sum over items of squared influences, including that on s_x, times n / (n - 3), and
    Student's t with as many degrees of freedom as costs are known exactly, less 2. Checked against
    Pearson's r without censoring and by simulation.

    Args:
        x: log demand, shape (items,).
        y: log cost or its lower bound, shape (items,).
        censored: which costs are lower bounds.

    Returns:
        NaN where under six costs are known exactly or a column is constant.
    """
    n = len(x)
    exact = y[~censored]
    if len(exact) < LEAST_KNOWN or np.ptp(x) == 0 or np.ptp(exact) == 0:
        return UNDEFINED._replace(num_items=n)
    of_known = pearson(x[~censored], exact)
    if of_known * of_known == 1:  # all on a line: its scatter has no likelihood
        return Correlation(of_known, (of_known, of_known), n)
    x = (x - x.mean()) / x.std()
    centre, scale = exact.mean(), exact.std()
    y = (y - centre) / scale
    design = np.column_stack([np.ones(n), x, -y])

    def parts(theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Minus log likelihood, d / d u and -d2 / d u2 of each item; u = theta . design."""
        u = design @ theta
        # u is minus the standardised residual, so a censored cost has probability Phi(u).
        mills = np.exp(-(u**2) / 2 - 0.5 * np.log(2 * np.pi) - log_ndtr(u))
        loss = np.where(censored, -log_ndtr(u), u**2 / 2 - np.log(theta[2]))
        return loss, np.where(censored, mills, -u), np.where(censored, mills * (mills + u), 1.0)

    def loss(theta: FloatArray) -> float:
        return float(parts(theta)[0].sum()) if theta[2] > 0 else np.inf

    def gradient(theta: FloatArray) -> FloatArray:
        return np.asarray(-design.T @ parts(theta)[1] - [0, 0, len(exact) / theta[2]])

    def information(theta: FloatArray) -> FloatArray:
        matrix = (design * parts(theta)[2][:, None]).T @ design
        matrix[2, 2] += len(exact) / theta[2] ** 2
        return np.asarray(matrix)

    from scipy.optimize import minimize  # only files with capped responses wait for its import

    start = np.array([0.0, 0.0, 1.0])
    found = minimize(loss, start, jac=gradient, hess=information, method="trust-exact")
    theta = found.x
    if not found.success or theta[2] > 1e6:
        return UNDEFINED._replace(num_items=n)
    scores = design * parts(theta)[1][:, None]
    scores[~censored, 2] += 1 / theta[2]
    influence = n * np.linalg.solve(information(theta), scores.T)[1]
    # x has standard deviation 1 here; another sample of items would have another one.
    influence = influence + theta[1] * (x**2 - 1) / 2
    influence = influence / np.sqrt(1 + theta[1] ** 2)
    error = np.sqrt((influence**2).sum()) / n * np.sqrt(n / (n - 3))
    z = np.arcsinh(theta[1])
    half = -float(stdtrit(len(exact) - 2, 0.025)) * error
    bounds = float(np.tanh(z - half)), float(np.tanh(z + half))
    return Correlation(float(np.tanh(z)), bounds, n)
