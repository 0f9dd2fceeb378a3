import math
from dataclasses import replace

import pytest
import yaml
from embedded import SUITES, small_suite

from handan import norms
from handan.errors import UserError
from handan.evaluation.suite import coverage_notes, load_suite, stratified, suite_items


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_suite_of_the_project_loads(path):
    suite = load_suite(path)
    items = suite_items(suite)
    assert {entry.item.task for entry in items} == {entry.task for entry in suite.tasks}
    assert all((entry.human_rt_s is None) != (entry.analytic_cost is None) for entry in items)


def test_the_tiny_suite_has_all_human_items_with_their_response_times():
    items = suite_items(load_suite(SUITES / "tiny.yaml"))
    human = [entry for entry in items if entry.human_rt_s is not None]
    assert len(human) == 256 + 136
    table = norms.load("binary_addition", "iccm2019").items
    first = next(entry for entry in human if entry.item.task == "binary_addition")
    assert first.human_mean_rt_s == table[first.item.key].mean_rt_s
    assert math.log(first.human_rt_s) == pytest.approx(table[first.item.key].mean_log_rt)


def test_a_subset_is_always_the_same(tmp_path):
    suite = load_suite(small_suite(tmp_path))
    first = [entry.item.key for entry in suite_items(suite)]
    assert first == [entry.item.key for entry in suite_items(suite)]
    assert len(first) == 4 * 12


@pytest.mark.parametrize("number", [1, 6, 7, 100, 136])
def test_a_part_has_one_item_of_each_stratum_of_difficulty(number):
    whole = suite_items(load_suite(SUITES / "tiny.yaml"))
    items = [entry for entry in whole if entry.item.task == "binary_subtraction"]
    part = stratified(items, number, "seed")
    ranked = sorted(items, key=lambda entry: (entry.human_rt_s, entry.item.key))
    ranks = sorted(ranked.index(entry) for entry in part)
    assert len(ranks) == number
    for stratum, rank in enumerate(ranks):
        low, high = (len(items) * edge // number for edge in (stratum, stratum + 1))
        assert low <= rank < high


def test_a_part_depends_on_the_seed_and_not_on_the_order_of_the_items():
    whole = suite_items(load_suite(SUITES / "tiny.yaml"))
    items = [entry for entry in whole if entry.item.task == "ordering"]  # costs with many ties
    part = [entry.item.key for entry in stratified(items, 10, "seed")]
    backwards = [entry.item.key for entry in stratified(items[::-1], 10, "seed")]
    assert backwards == part[::-1]
    assert {entry.item.key for entry in stratified(items, 10, "other")} != set(part)


def test_the_fingerprint_follows_every_setting(tmp_path):
    prints = {
        load_suite(small_suite(tmp_path, **change)).fingerprint
        for change in ({}, {"samples": 3}, {"max_new_tokens": 99}, {"seed": 5}, {"top_p": 0.9})
    }
    assert len(prints) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 0}, "must be at least 1"),
        ({"temperature": 0.0}, "for greedy decoding set 'greedy'"),
        ({"tasks": []}, "at least one task"),
        ({"items_per_task": 0}, "items_per_task must be at least 1, or null for all items"),
        ({"cap": 5}, "unknown key 'cap'"),
        ({"max_new_tokens": None}, "max_new_tokens: expected a whole number"),
    ],
)
def test_bad_suites_are_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        load_suite(small_suite(tmp_path, **change))


def one_task(tmp_path, **entry):
    row = {"task": "binary_addition", "wording": "compact", "norms": "iccm2019", **entry}
    return small_suite(tmp_path, tasks=[row])


def test_items_without_norms_are_counted(tmp_path):
    suite = load_suite(one_task(tmp_path, norms="cogsci2019"))
    suite = replace(suite, items_per_task=None)
    assert len(suite_items(suite)) == 253
    (note,) = coverage_notes(suite)
    assert note.startswith("task 'binary_addition': 3 of 256 items have no norm of cogsci2019 and")
    assert coverage_notes(load_suite(one_task(tmp_path))) == []


def test_fewer_items_than_wanted_are_counted(tmp_path):
    suite = replace(load_suite(one_task(tmp_path)), items_per_task=500)
    assert coverage_notes(suite) == [
        "task 'binary_addition': all its 256 items are asked, as items_per_task is 500"
    ]


def test_norms_of_other_items_are_refused(tmp_path, monkeypatch):
    other = norms.load("products")
    monkeypatch.setattr(norms, "load", lambda *_: other)
    with pytest.raises(UserError, match="norms 'iccm2019' have none of its items, such as '0000"):
        suite_items(load_suite(one_task(tmp_path)))


def test_unknown_wording_task_and_norms_are_named(tmp_path):
    with pytest.raises(UserError, match=r"wording of .* is 'klingon'"):
        load_suite(one_task(tmp_path, wording="klingon"))
    with pytest.raises(UserError, match="no compact wording of task 'products'"):
        suite_items(load_suite(one_task(tmp_path, task="products")))
    with pytest.raises(UserError, match="iccm1999"):
        suite_items(load_suite(one_task(tmp_path, norms="iccm1999")))


def test_a_missing_table_of_norms_is_named_with_its_suite_and_key(tmp_path):
    suite = one_task(tmp_path, norms="nope.csv")
    with pytest.raises(UserError, match=rf"{suite}: norms of binary_addition is nope.csv: no such"):
        load_suite(suite)


def test_natural_tasks_can_be_put_in_a_suite(tmp_path):
    rows = [
        {"task": "syllogisms", "wording": "natural", "norms": "brand_ragni_2023"},
        {"task": "cardinal_directions", "wording": "natural", "norms": "ragni_2018"},
    ]
    items = suite_items(load_suite(small_suite(tmp_path, tasks=rows, items_per_task=None)))
    assert len(items) == 128
    assert all(entry.human_rt_s > 1 for entry in items)


def test_the_suite_file_is_plain_yaml(tmp_path):
    assert yaml.safe_load(small_suite(tmp_path).read_text())["name"] == "small"


def test_a_suite_without_tables_is_recorded_as_before_there_were_any():
    """So that an evaluation which an older version began goes on."""
    tasks = load_suite(SUITES / "tiny_probe.yaml").settings["tasks"]
    assert {key for task in tasks for key in task} == {"task", "wording", "norms", "format"}
