"""The participants behind an item's response time, where single trials are known.

They give three things that item means alone cannot: the reliability of these means (the noise
ceiling), means over the trials that count, and how far all items move together if other people
had been asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from handan.alignment.data.cost_table import CostTable, FloatArray
from handan.norms.reliability import Reliability, in_order_of_figures, split_half_reliability

SPLITS = 5_000


@dataclass(frozen=True, eq=False)
class People:
    """Trials of one task, summed within participant and item; shape (participants, items) each.

    Attributes:
        items: names, the last axis.
        log_sums: sums of log response times in seconds.
        time_sums: sums of response times in seconds.
        counts: numbers of trials.
    """

    items: tuple[str, ...]
    log_sums: FloatArray
    time_sums: FloatArray
    counts: FloatArray

    @staticmethod
    def of_trials(
        participants: Sequence[str], items: Sequence[str], rt_s: Sequence[float] | FloatArray
    ) -> "People":
        """Sums of trials given as three columns of equal length."""
        names, item_codes = np.unique(np.array(items, dtype=str), return_inverse=True)
        people, person_codes = np.unique(np.array(participants, dtype=str), return_inverse=True)
        times = np.asarray(rt_s, float)
        cells = person_codes * len(names) + item_codes

        def summed(values: FloatArray | None) -> FloatArray:
            flat = np.bincount(cells, values, minlength=len(people) * len(names))
            return flat.reshape(len(people), len(names)).astype(float)

        return People(tuple(names.tolist()), summed(np.log(times)), summed(times), summed(None))

    @staticmethod
    def of_table(table: CostTable) -> dict[str, "People"]:
        """People of the tasks whose rows name a participant."""
        rows = np.array([name != "" for name in table.text["participant"]], dtype=bool)
        if not rows.any():
            return {}
        _, once = np.unique(table.groups("task", "item", "participant"), return_index=True)
        tasks: dict[str, list[int]] = {}
        for row in once[rows[once]]:
            tasks.setdefault(table.text["task"][row], []).append(int(row))
        return {
            task: People.of_trials(
                [table.text["participant"][row] for row in of_task],
                [table.text["item"][row] for row in of_task],
                table.numbers["human_rt_s"][of_task],
            )
            for task, of_task in tasks.items()
        }

    @property
    def mean_log_rt(self) -> FloatArray:
        """Mean log response time of each item, shape (items,); NaN where nobody answered."""
        return _divided(self.log_sums.sum(axis=0), self.counts.sum(axis=0))

    @property
    def mean_rt_s(self) -> FloatArray:
        """Mean response time of each item in seconds, shape (items,); NaN as above."""
        return _divided(self.time_sums.sum(axis=0), self.counts.sum(axis=0))

    def select(self, kept: NDArray[np.bool_]) -> "People":
        """Only the items where ``kept``, shape (items,)."""
        items = tuple(item for item, keep in zip(self.items, kept, strict=True) if keep)
        return People(items, self.log_sums[:, kept], self.time_sums[:, kept], self.counts[:, kept])

    def of_items(self, items: Sequence[str]) -> "People":
        """These items in this order, without trials where nobody answered one."""
        place = {item: index for index, item in enumerate(self.items)}
        known = np.array([item in place for item in items], dtype=bool)
        columns = np.array([place.get(item, 0) for item in items], dtype=np.intp)

        def chosen(sums: FloatArray) -> FloatArray:
            return np.where(known, sums[:, columns], 0.0)

        return People(
            tuple(items), chosen(self.log_sums), chosen(self.time_sums), chosen(self.counts)
        )

    def reliability(self, generator: np.random.Generator) -> Reliability:
        """Split-half reliability of the items' mean log times, as ``handan.norms.reliability``."""
        took_part = self.counts.sum(axis=1) > 0
        sums = in_order_of_figures(self.log_sums[took_part], self.counts[took_part])
        return split_half_reliability(*sums, SPLITS, generator)

    def shared_variance(self, gradient: FloatArray) -> float:
        """What other people would add to the variance of a figure, beyond other items.

        A figure f of the items' mean log times y moves by gradient · dy. Its variance over people
        is the sum over participants of (gradient · d_p) squared, where d_p is what participant p
        contributes to the deviations of the means. The part in which items move independently of
        each other is in the resampling of items already, so it is subtracted, as in variances
        clustered in two ways (Cameron, Gelbach and Miller 2011). What is left are people who
        differ in which items they find hard. It may come out below 0, and is 0 then.

        Args:
            gradient: df/dy, shape (items,).
        """
        trials = self.counts.sum(axis=0)
        deviations = (self.log_sums - self.counts * self.mean_log_rt) / trials
        weighted = deviations * gradient
        num_people = int(np.count_nonzero(self.counts.sum(axis=1)))
        if num_people < 2:
            return 0.0
        shared = (weighted.sum(axis=1) ** 2 - (weighted**2).sum(axis=1)).sum()
        return max(0.0, float(shared) * num_people / (num_people - 1))

    @property
    def few(self) -> float:
        """(t / z)^2 of Student's t with as many degrees of freedom as people, less 1.

        A variance over few people is known poorly: where it widens an interval it is multiplied by
        this.
        """
        num_people = int(np.count_nonzero(self.counts.sum(axis=1)))
        if num_people < 2:
            return 1.0
        return float((stdtrit(num_people - 1, 0.025) / ndtri(0.025)) ** 2)


def _divided(total: FloatArray, count: FloatArray) -> FloatArray:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
