"""Whatever a file holds, align answers with a sentence or with valid JSON."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulated import csv_text

from handan.alignment.align import align
from handan.alignment.costs import read_costs
from handan.errors import UserError

# Numpy's warnings would be printed over the tables.
pytestmark = pytest.mark.filterwarnings("error")

CELLS = {
    "model": st.sampled_from(["", "a", "b", "\x1b[31m"]),
    "task": st.sampled_from(["", "t", "t", "u"]),
    "item": st.sampled_from(["1", "2", "3", "4", "5", "6"]),
    "sample": st.sampled_from(["0", "1", "2", "3"]),
    "step": st.sampled_from(["", "", "0", "5", "x"]),
    "reasoning_tokens": st.sampled_from(["0", "1", "7", "7", "200", "999999999", "-1", "nan"]),
    "human_rt_s": st.sampled_from(["1", "1", "2.5", "1e-9", "1e12", "", "0", "inf"]),
    "analytic_cost": st.sampled_from(["", "", "", "3"]),
    "oracle_tokens": st.sampled_from(["", "4", "5"]),
    "status": st.sampled_from(["", "complete", "truncated", "no_reasoning", "unparsed", "?"]),
    "correct": st.sampled_from(["", "True", "0", "?"]),
}


@st.composite
def tables(draw):
    """Texts of costs.csv. Most are wrong; those of the second kind are only poor in content."""
    names = draw(st.lists(st.sampled_from(list(CELLS)), unique=True, max_size=4))
    names = list(dict.fromkeys(["task", "item", "reasoning_tokens", "human_rt_s", *names]))
    rows = draw(st.lists(st.fixed_dictionaries({name: CELLS[name] for name in names}), max_size=25))
    if draw(st.booleans()):
        for row in rows:
            item = int(row["item"])
            row |= {"task": "t", "human_rt_s": 1 + item % 4, "reasoning_tokens": item**2 // 3}
            row |= {"correct": "", "status": "", "analytic_cost": "", "oracle_tokens": ""}
            row |= {"model": row.get("model") or "a", "step": row.get("step", "").strip("x")}
        # One row for each sample of an item.
        keys = ("model", "step", "item", "sample")
        rows = list({tuple(row.get(key) for key in keys): row for row in rows}.values())
    return csv_text(rows) if rows else ",".join(names)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables())
def test_any_table_gives_a_sentence_or_valid_json(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "costs.csv"
    path.write_text(text, encoding="utf-8")
    try:
        result = align(read_costs(path).table, bootstrap=100)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        json.dumps(result, allow_nan=False)


counts = st.integers(0, 10**9)
# Wider apart, they would be taken for two units.
times = st.floats(1, 99)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(counts, counts, counts, times), min_size=1, max_size=12),
    st.booleans(),
)
def test_any_admissible_numbers_give_valid_json(columns, analytic):
    demand = "analytic_cost" if analytic else "human_rt_s"
    rows = [
        {"model": model, "task": "t", "item": str(item), "sample": sample, demand: values[3]}
        | {"reasoning_tokens": values[sample] if model == "a" else values[2]}
        for item, values in enumerate(columns)
        for sample in range(2)
        for model in "ab"
    ]
    result = align(rows, bootstrap=100, reference="b")
    json.dumps(result, allow_nan=False)
    for model in result["models"].values():
        r = model["tasks"]["t"]["r_loglog"]
        assert r is None or -1 <= r <= 1
