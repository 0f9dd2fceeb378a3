"""A cross-check of r: log response time on log tokens, prompt length and trial order.

A mixed model of single trials with people and items crossed, or least squares on item means.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from handan.alignment.correlation import FloatArray, finite_or_none
from handan.alignment.items import TaskCosts, log_of_positive, row_means
from handan.alignment.pairs import CostsByModel
from handan.alignment.participants import Participants


class Fit(NamedTuple):
    """Fixed effects with standard errors, and standard deviations of random ones and residuals."""

    effects: FloatArray
    errors: FloatArray
    of_groups: FloatArray
    residual: float


def reml(y: FloatArray, design: FloatArray, groups: Sequence[NDArray[np.intp]]) -> Fit:
    """A linear model with a random intercept for each member of each grouping, all crossed.

    Restricted maximum likelihood, its deviance profiled to the groups' standard deviations in units
    of the residuals' (Bates et al. 2015, eq. 41). Arrays have one row a trial; groups are numbered
    from 0. Without groups it is least squares. Checked against ``statsmodels`` MixedLM.
    """
    from scipy.sparse import csr_array, hstack

    rows, ones = np.arange(len(y)), np.ones(len(y))
    members = [csr_array((ones, (rows, of))) for of in groups] or [csr_array((len(y), 0))]
    sizes = [of.shape[1] for of in members if groups]
    z, data = hstack(members), np.column_stack([design, y])
    zz, zd, dd = (z.T @ z).toarray(), z.T @ data, data.T @ data
    freedom = len(y) - design.shape[1]

    def solved(ratios: FloatArray) -> tuple[float, FloatArray, FloatArray, float]:
        """Log determinants, X'V^-1 X, effects and the residual sum of squares."""
        scale = np.repeat(ratios, sizes)
        root = np.linalg.cholesky(np.eye(len(scale)) + scale[:, None] * zz * scale)
        part = np.linalg.solve(root, scale[:, None] * zd)
        left = dd - part.T @ part
        xx, xy = left[:-1, :-1], left[:-1, -1]
        effects = np.linalg.solve(xx, xy)
        logs = 2 * np.log(np.diag(root)).sum() + np.linalg.slogdet(xx)[1]
        return float(logs), xx, effects, float(left[-1, -1] - effects @ xy)

    def deviance(ratios: FloatArray) -> float:
        logs, _, _, squares = solved(ratios)
        return logs + freedom * np.log(squares)

    ratios = np.ones(len(groups))
    if groups:
        from scipy.optimize import minimize  # takes as long to import as most files to align

        bounds = [(0.0, None)] * len(groups)
        found = minimize(deviance, ratios, method="Nelder-Mead", bounds=bounds, tol=1e-7)
        ratios = found.x
    _, xx, effects, squares = solved(ratios)
    residual = float(np.sqrt(squares / freedom))
    errors = residual * np.sqrt(np.diag(np.linalg.inv(xx)))
    return Fit(effects, errors, ratios * residual, residual)


def mixed_models(costs: CostsByModel, participants: Mapping[str, Participants]) -> list[dict]:
    """One row a model and human task with items enough for a correlation."""
    every = [entry.thinking() for of_model in costs.values() for entry in of_model.values()]
    return [
        _row(entry, participants.get(entry.task))
        for entry in every
        if entry.cost_source == "human" and not np.isnan(entry.r)
    ]


def _row(costs: TaskCosts, people: Participants | None) -> dict:
    prompt = row_means(log_of_positive(costs.of_samples["prompt_tokens"]))
    known = np.isfinite(prompt).all() and np.ptp(prompt) > 0
    names = ["prompt tokens"] if known else []
    columns = [np.ones(len(costs.items)), *([prompt] if known else []), costs.log_cost]
    of_items = np.column_stack(columns)
    y, design, groups = costs.log_difficulty, of_items, list[NDArray[np.intp]]()
    if people is not None:
        place = {item: at for at, item in enumerate(costs.items)}
        trials = [trial for trial in people.trials if trial.item in place]
        y = np.log([trial.rt_s for trial in trials])
        items = np.array([place[trial.item] for trial in trials])
        _, persons = np.unique([trial.participant for trial in trials], return_inverse=True)
        design, groups = of_items[items], [persons, items]
        order = np.array([trial.number for trial in trials], float)
        if np.isfinite(order).all() and np.ptp(order) > 0:
            names.append("trial order")
            design = np.column_stack([order - order.mean(), design])
    fit = reml(y, design, groups)
    b, error, freedom = fit.effects[-1], fit.errors[-1], len(costs.items) - design.shape[1]
    half = -float(stdtrit(freedom, 0.025)) * error
    sd_people, sd_items = fit.of_groups if groups else (np.nan, np.nan)
    found = {"b": b, "b_ci": (float(b - half), float(b + half))}
    found |= {"p": 2 * stdtr(freedom, -abs(b / error)), "sd_participants": sd_people}
    found |= {"sd_items": sd_items, "sd_residual": fit.residual}
    found |= _held_out(costs, of_items)
    row = {"model": costs.model, "task": costs.task, "covariates": names, "n": len(costs.items)}
    row |= {"trials": len(y) if groups else None}
    row |= {"participants": int(groups[0].max()) + 1 if groups else None}
    return row | {name: finite_or_none(value) for name, value in found.items()}


def _held_out(costs: TaskCosts, design: FloatArray) -> dict:
    """R2 of items' mean log times, each predicted without it, and what tokens add to it.

    Least squares, whose error without an item is e / (1 - h) with its leverage h.
    """
    squares = []
    for x in (design[:, :1], design[:, :-1], design):
        hat = x @ np.linalg.pinv(x)
        errors = (costs.log_difficulty - hat @ costs.log_difficulty) / (1 - np.diag(hat))
        squares.append(errors @ errors)
    nothing, covariates, everything = squares
    return {"r2": 1 - everything / nothing, "delta_r2": (covariates - everything) / nothing}
