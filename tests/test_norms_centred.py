"""Item means without who saw which item and without trial order, and what names decide: nothing."""

import math

import numpy as np
import pytest

from handan import norms
from handan.norms.compute import centred_log_rt, compute
from handan.norms.trials import Trial

HEADER = "task,item,participant,rt_s,correct,trial"


def study(rng, num_people=30, num_items=40, share=0.5, slope=0.0, order="random", person_sd=0.6):
    """Trials of people who see a part of the items, and the items' true log times."""
    difficulty = rng.normal(0, 0.3, num_items)
    trials = []
    for person in range(num_people):
        seen = rng.permutation(num_items)[: round(share * num_items)]
        seen = np.sort(seen) if order == "fixed" else seen
        speed = rng.normal(1, person_sd)
        for place, item in enumerate(seen.tolist()):
            log_rt = speed + difficulty[item] + slope * place + rng.normal(0, 0.1)
            number = float(place + 5)
            trials.append(Trial(f"p{person}", f"i{item:02}", math.exp(log_rt), True, number))
    return trials, difficulty


def item_means(trials, values):
    sums = {}
    for trial, value in zip(trials, values, strict=True):
        sums.setdefault(trial.item, []).append(value)
    return np.array([np.mean(sums[item]) for item in sorted(sums)])


def without_order(trials):
    return [trial._replace(number=None) for trial in trials]


def test_values_are_those_of_the_formula():
    trials = [Trial("a", "x", 1, True), Trial("a", "y", 4, True), Trial("b", "y", 16, True)]
    values, slope = centred_log_rt(trials)
    grand = (math.log(4) + math.log(16)) / 3
    expected = [-math.log(2) + grand, math.log(2) + grand, grand]
    assert values == pytest.approx(expected) and slope is None


def test_a_complete_design_without_order_has_the_same_means():
    trials, _ = study(np.random.default_rng(0), share=1)
    plain = item_means(trials, [math.log(trial.rt_s) for trial in trials])
    centred, _ = centred_log_rt(without_order(trials))
    assert item_means(trials, centred) == pytest.approx(plain, abs=1e-12)


def test_centring_takes_out_who_saw_which_item():
    trials, difficulty = study(np.random.default_rng(1))
    plain = item_means(trials, [math.log(trial.rt_s) for trial in trials])
    centred = item_means(trials, centred_log_rt(without_order(trials))[0])
    error = [np.std(means - difficulty) for means in (plain, centred)]
    assert error[1] < 0.4 * error[0]


def test_the_slope_of_order_is_that_of_dummy_regression():
    trials, _ = study(np.random.default_rng(2), num_people=8, num_items=12, slope=-0.02)
    people, items = sorted({t.participant for t in trials}), sorted({t.item for t in trials})
    design = [
        [t.number, *(t.participant == p for p in people), *(t.item == i for i in items)]
        for t in trials
    ]
    log_rt = [math.log(t.rt_s) for t in trials]
    expected = np.linalg.lstsq(np.array(design, float), np.array(log_rt), rcond=None)[0][0]
    assert centred_log_rt(trials)[1] == pytest.approx(expected, rel=1e-6)


def test_an_effect_of_order_is_found_and_taken_off():
    trials, difficulty = study(np.random.default_rng(3), share=1, slope=-0.03)
    values, slope = centred_log_rt(trials)
    assert slope == pytest.approx(-0.03, abs=0.002)
    with_order, _ = centred_log_rt(without_order(trials))
    error = [np.std(item_means(trials, v) - difficulty) for v in (with_order, values)]
    assert error[1] < 0.5 * error[0]


@pytest.mark.parametrize("slope", [0.0, 0.05])
def test_order_that_is_the_same_for_everybody_is_not_told_from_items(slope):
    trials, _ = study(np.random.default_rng(4), share=1, slope=slope, order="fixed")
    values, found = centred_log_rt(trials)
    assert found is None
    assert values == pytest.approx(centred_log_rt(without_order(trials))[0])


def lines(trials, task="sums", rename=str, with_order=True):
    rows = [
        f"{task},{rename(t.item)},{rename(t.participant)},{t.rt_s!r},1"
        + (f",{t.number}" if with_order else "")
        for t in trials
    ]
    return "\n".join([HEADER if with_order else HEADER.removesuffix(",trial"), *rows]) + "\n"


def test_norms_hold_both_means_and_both_reliabilities(tmp_path, capsys):
    trials, difficulty = study(np.random.default_rng(5), slope=-0.02)
    (tmp_path / "trials.csv").write_text(lines(trials))
    compute(tmp_path / "trials.csv", "lab", tmp_path / "out", splits=200)
    table = norms.load("sums", "lab", tmp_path / "out")
    centred = [norm.mean_log_rt_centred for norm in table.items.values()]
    expected = item_means(trials, centred_log_rt(trials)[0])
    assert centred == pytest.approx(expected.tolist(), abs=1e-5)
    assert table.reliability < 0.9 * table.reliability_centred
    assert np.corrcoef(centred, difficulty)[0, 1] ** 2 == pytest.approx(
        table.reliability_centred, abs=0.06
    )
    assert table.order_slope == pytest.approx(-0.02, abs=0.003)
    printed = capsys.readouterr().out
    assert f"without who saw which item {table.reliability_centred:.3f}" in printed
    assert "over ten trials, taken off the centred means" in printed


def test_order_that_cannot_be_told_is_said(tmp_path, capsys):
    trials, _ = study(np.random.default_rng(6), share=1, order="fixed")
    (tmp_path / "trials.csv").write_text(lines(trials))
    compute(tmp_path / "trials.csv", "lab", tmp_path / "out", splits=20)
    assert "order of trials: nearly the same for everybody" in capsys.readouterr().out
    assert norms.load("sums", "lab", tmp_path / "out").order_slope is None


def test_names_of_task_source_items_and_people_do_not_change_a_reliability(tmp_path):
    trials, _ = study(np.random.default_rng(7), num_people=9, num_items=14)
    kinds = [("sums", "lab", str), ("other", "x", str), ("sums", "lab", lambda name: name[::-1])]
    found = []
    for number, (task, source, rename) in enumerate(kinds):
        path = tmp_path / f"{number}.csv"
        path.write_text(lines(trials, task, rename))
        compute(path, source, tmp_path / str(number), splits=30)
        (row,) = norms.summary_rows(tmp_path / str(number))
        found.append([value for key, value in row.items() if key not in ("task", "source")])
    assert found[0] == found[1] == found[2]


def test_the_seed_of_the_splits_is_the_users(tmp_path):
    trials, _ = study(np.random.default_rng(8), num_people=9, num_items=14)
    path = tmp_path / "trials.csv"
    path.write_text(lines(trials))
    one, same, other = (
        compute(path, "lab", tmp_path / "out", splits=30, seed=seed)[0] for seed in (1, 1, 2)
    )
    assert one.reliability == same.reliability != other.reliability


def test_a_reliability_that_says_nothing_is_warned_about(tmp_path, capsys):
    rng = np.random.default_rng(9)
    trials = [
        Trial(f"p{p}", f"i{i:02}", math.exp(1 + rng.normal(0, 0.3)), True)
        for p in range(12)
        for i in range(20)
    ]
    (tmp_path / "trials.csv").write_text(lines(trials, with_order=False))
    (table,) = compute(tmp_path / "trials.csv", "lab", tmp_path / "out", splits=50)
    assert table.reliability.value < 0.3
    assert "below 0.3: most of the differences between items are noise" in capsys.readouterr().out


def test_tables_without_the_centred_columns_still_load_and_stay(tmp_path):
    trials, _ = study(np.random.default_rng(10), num_people=8, num_items=12)
    (tmp_path / "trials.csv").write_text(lines(trials))
    compute(tmp_path / "trials.csv", "lab", tmp_path / "out", splits=20)
    for name, lacking in (("summary.csv", 4), ("sums.lab.csv", 1)):
        path = tmp_path / "out" / name
        rows = [line.rsplit(",", lacking)[0] for line in path.read_text().splitlines()]
        path.write_text("\n".join(rows) + "\n")
    old = norms.load("sums", "lab", tmp_path / "out")
    assert (old.reliability_centred, old.order_slope) == (None, None)
    assert {norm.mean_log_rt_centred for norm in old.items.values()} == {None}
    compute(tmp_path / "trials.csv", "new", tmp_path / "out", splits=20)
    assert norms.available(tmp_path / "out") == [("sums", "lab"), ("sums", "new")]
    assert norms.load("sums", "lab", tmp_path / "out") == old
