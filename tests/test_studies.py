"""A study for real: killed and gone on with, one cell that fails, and its page made twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from embedded import ROOT

from handan.errors import UserError
from handan.experiments import results_page as pages
from handan.experiments.declare import load_experiment
from handan.files import read_json
from handan.formatting import UNKNOWN

SMALL = {
    "max_steps": 2,
    "save_steps": 1,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
}
DRAWN = {**SMALL, "num_generations": 4, "max_completion_length": 64}
PAGE = """# A page

Written by hand.

<!-- study: cells -->
<!-- end -->

<!-- study: tests -->
<!-- end -->

<!-- study: factor-route -->
<!-- end -->

<!-- study: traces -->
<!-- end -->

<!-- study: audit -->
<!-- end -->

<!-- study: samples -->
<!-- end -->

<!-- study: picture-alignment -->
<!-- end -->

By hand too.
"""


def declare(folder, **changes):
    suite = yaml.safe_load((ROOT / "eval/suites/tiny.yaml").read_text())
    suite |= {"name": "few", "items_per_task": 10, "samples": 2, "max_new_tokens": 64}
    for name, samples in (("suite", 2), ("more", 8)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**suite, "samples": samples}))
    (folder / "page.md").write_text(PAGE)
    content = {
        "output_dir": str(folder / "runs"),
        "configs": "recipes/studies/mimicry",
        "suite": str(folder / "suite.yaml"),
        "accelerate_config": None,
        "evaluation": {"num_threads": 1},
        "parallel": 2,
        "seeds": [1, 2],
        "models": {"base": "handan/tiny/weights/base"},
        "traces": {"worked": {"config": "recipes/studies/mimicry/worked_plain.yaml"}},
        "arms": {
            "sft": {
                "recipe": "sft_distill",
                "start": "base",
                "traces": "worked",
                "settings": SMALL,
            },
            "grpo": {"recipe": "grpo", "start": "base", "settings": DRAWN},
            "cut": {  # traces do not fit, which stops the training
                "recipe": "sft_distill",
                "start": "base",
                "traces": "worked",
                "seeds": [1],
                "settings": {**SMALL, "max_length": 20},
            },
        },
        "evaluations": {"more": {"suite": str(folder / "more.yaml"), "of": ["sft"], "seeds": [2]}},
        "page": str(folder / "page.md"),
        "factors": {
            "route": {"question": "Which?", "against": "base", "arms": ["sft", "grpo", "cut"]}
        },
        "claims": {
            "kept": {
                "says": "GRPO keeps alignment.",
                "tests": [{"measure": "difference", "a": "grpo", "b": "base", "expect": "kept"}],
            }
        },
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


def requiring(**requirement):
    """A claim with this requirement."""
    test = {"measure": "r", "a": "sft", "expect": "positive"}
    required = {"at_least": 0.1, **requirement}
    return {"claims": {"c": {"says": "x", "tests": [test], "requires": [required]}}}


def study(path, *options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "handan", "study", str(path), *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of a study that was killed once and then run to its end, and what it printed."""
    folder = tmp_path_factory.mktemp("study")
    path = declare(folder)
    first = study(path)
    deadline = time.monotonic() + 300
    logs = folder / "runs/logs"
    while not list(logs.glob("*.done.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = len(list(logs.glob("*.done.json")))
    second = study(path)
    output, _ = second.communicate(timeout=600)
    return folder, done, second.returncode, output


def test_a_killed_study_goes_on_past_a_cell_that_fails(ran):
    _, done, code, output = ran
    assert 0 < done < 13
    assert code == 2 and "Traceback" not in output
    assert f"{done} of 13 stages are finished already" in output
    assert "min left" in output
    assert "error: failed: seed-1-train-cut" in output.splitlines()[-1]
    assert "seed-1-evaluate-cut" in output.splitlines()[-1]


def test_the_page_keeps_its_text_and_says_what_is_missing_and_why(ran):
    folder, *_ = ran
    page = (folder / "runs/page/page.md").read_text()
    assert "Written by hand." in page and "By hand too." in page
    assert "6 of 7 declared cells are there." in page
    line = next(line for line in page.splitlines() if line.startswith("- Missing: cut, seed 1"))
    assert "seed-1-train-cut failed: " in line and "max_length" in line
    assert "| `sft` | 2 |" in page and f"| `cut` | {UNKNOWN} |" in page
    assert (folder / "runs/page/page/alignment.svg").read_text().startswith("<svg")
    assert (folder / "page.md").read_text() == PAGE  # the study's own is left alone


def test_the_page_made_again_differs_in_nothing(ran):
    folder, *_ = ran
    written = folder / "runs/page"
    before = {p.relative_to(written): p.read_bytes() for p in written.rglob("*.*")}
    again = study(folder / "study.yaml", "--page_only")
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 0, output
    assert {p.relative_to(written): p.read_bytes() for p in written.rglob("*.*")} == before


def test_the_page_is_made_again_from_its_numbers_alone(ran, tmp_path):
    folder, *_ = ran
    written = folder / "runs/page"
    again = study(
        folder / "study.yaml",
        *("--numbers", str(written / "page/study.json"), "--output_dir", str(tmp_path)),
    )
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 0, output
    made = {p.relative_to(tmp_path / "page"): p.read_bytes() for p in tmp_path.rglob("*.*")}
    assert made == {p.relative_to(written): p.read_bytes() for p in written.rglob("*.*")}
    numbers = read_json(written / "page/study.json")
    assert numbers["ceilings"].keys() == set(numbers["tasks"]["human"])
    assert all(0.5 < ceiling < 1 for ceiling in numbers["ceilings"].values())


def test_training_sets_are_compared_with_the_items_again(ran):
    folder, *_ = ran
    figures = read_json(folder / "runs/page/page/study.json")
    rows = {row["cell"]: row for row in figures["audit"]}
    assert rows["sft, seed 1"]["of"] == "traces" and rows["sft, seed 1"]["rows"] > 3000
    assert rows["grpo, seed 2"]["rows"] == 2000 and rows["grpo, seed 2"]["found"] == 0


def test_allocation_of_worked_traces_is_the_formats(ran):
    folder, *_ = ran
    traces = read_json(folder / "runs/page/page/study.json")["traces"]["worked"]
    assert traces["r_oracle"]["value"] == pytest.approx(1.0)
    assert traces["r_oracle_same_width"]["value"] == pytest.approx(1.0)


def test_a_further_evaluation_is_of_the_same_weights(ran):
    folder, *_ = ran
    figures = read_json(folder / "runs/page/page/study.json")
    (row,) = figures["samples"]
    assert (row["arm"], row["seed"]) == ("sft", 2) and set(row["k"]) == {"1", "8"}
    more, own = (read_json(folder / f"runs/seed-2/{name}/run.json") for name in ("sft-more", "sft"))
    assert more["comparability"]["samples"] == 8 and own["comparability"]["samples"] == 2


def test_changed_traces_are_not_taken_for_those_of_the_training(ran, tmp_path):
    folder, *_ = ran
    traces = folder / "runs/worked/traces.jsonl"
    before = traces.read_bytes()
    traces.write_bytes(before.replace(b'"sample": 1', b'"sample": 7', 1))
    try:
        refused = study(folder / "study.yaml", "--page_only", "--page", str(tmp_path / "p.md"))
        output, _ = refused.communicate(timeout=300)
    finally:
        traces.write_bytes(before)
    assert refused.returncode == 2 and "not the traces that" in output
    assert not (tmp_path / "p.md").exists()


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"page": ""}, "a study names a page, factors and claims; .* is run by handan experiment"),
        ({"equivalence_bound": 2.0}, "equivalence_bound is 2"),
        ({"factors": {"f": {"question": "?", "against": "base", "arms": ["sft"]}}}, "in no factor"),
        (
            {"factors": {"f": {"question": "?", "against": "nobody", "arms": []}}},
            "'nobody' is no model and no arm",
        ),
        (
            {
                "claims": {
                    "c": {"says": "x", "tests": [{"measure": "r", "a": "sft", "expect": "up"}]}
                }
            },
            "'r: up' is no test",
        ),
        (
            {
                "claims": {
                    "c": {
                        "says": "x",
                        "tests": [{"measure": "difference", "a": "sft", "expect": "lower"}],
                    }
                }
            },
            "needs a and b",
        ),
        (
            {
                "claims": {
                    "c": {
                        "says": "x",
                        "tests": [
                            {"measure": "law", "a": "sft", "b": "grpo", "expect": "additive"}
                        ],
                    }
                }
            },
            "'grpo' is not that of 'sft'",
        ),
        ({"equivalence_unit": "z"}, "unknown key 'equivalence_unit'"),
        (requiring(measure="rise", a="sft"), "'rise' is no requirement; use r, difference, room"),
        (requiring(measure="difference", a="sft"), "requirement difference needs a and b"),
        (requiring(measure="room", a="sft", b="base"), "requirement room needs a alone"),
        (requiring(measure="ratio", a="sft", b="nobody"), "'nobody' is no model and no arm"),
    ],
)
def test_what_a_study_declares_is_checked(tmp_path, monkeypatch, changes, said):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=said):
        load_experiment(declare(tmp_path, **changes))


def test_an_unknown_part_of_the_page_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    loaded = load_experiment(declare(tmp_path))
    (tmp_path / "page.md").write_text("<!-- study: nothing -->\n<!-- end -->\n")
    with pytest.raises(UserError, match="no part is called 'nothing'; there are: cells"):
        pages.write(loaded, {}, tmp_path / "page.md", tmp_path / "out.md")


def test_the_projects_study_is_declared_in_full(monkeypatch):
    monkeypatch.chdir(ROOT)
    declared = load_experiment(Path("recipes/studies/mimicry.yaml"))
    confirmatory = {test.a for test in declared.tests} | {test.b for test in declared.tests}
    trained = [name for name in confirmatory if name in declared.arms]
    assert all(len(declared.seeds_of(name)) >= 5 for name in trained)
    assert all(len(declared.seeds_of(name)) >= 3 for name in declared.arms)
    page = Path(declared.page).read_text()
    marks = {mark["name"] for mark in pages.MARK.finditer(page)}
    assert {f"factor-{name}" for name in declared.factors} <= marks
    assert {"cells", "claims", "tests", "audit", "budgets"} <= marks
