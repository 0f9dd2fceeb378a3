"""What tests of claims conclude: rules that are fixed before anything is known."""

import copy
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from embedded import ROOT

from handan import cli
from handan.errors import UserError
from handan.experiments import results_page as pages
from handan.experiments.claims import conclusion, judge, outcome
from handan.experiments.declare import Claim, ClaimTest, Factor, load_experiment
from handan.experiments.results import stored
from handan.files import read_json, write_json
from handan.report.verdicts import Figure, Known, Requirement, check

AT = ("T=1", "T=0")
# 95 % and 90 % intervals that show what a verdict says of a bound of .1.
INTERVALS = {
    "lower": ([-0.4, -0.1], [-0.38, -0.12]),
    "higher": ([0.1, 0.4], [0.12, 0.38]),
    "lower, but within ±0.1": ([-0.09, -0.01], [-0.08, -0.02]),
    "higher, but within ±0.1": ([0.01, 0.09], [0.02, 0.08]),
    "preserved within ±0.1": ([-0.11, 0.05], [-0.09, 0.04]),
    "no evidence either way": ([-0.3, 0.1], [-0.25, 0.05]),
    None: (None, None),
}


def intervals(verdict):
    ci, ci90 = INTERVALS[verdict]
    return {"ci": ci, "ci90": ci90, "equivalence_bound": 0.1}


MIMICRY = Path("recipes/studies/mimicry.yaml")
PAGE = Path("docs/results/mimicry.md")
NUMBERS = PAGE.parent / "mimicry/study.json"


# -- one test --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verdict, p_holm, p_equivalence_holm, expect, found",
    [
        ("lower", 0.001, 1.0, "lower", "as expected"),
        ("lower", 0.2, 1.0, "lower", "undecided"),  # not after Holm
        ("lower", 0.001, 1.0, "kept", "otherwise"),
        ("lower", 0.2, 1.0, "kept", "undecided"),
        ("lower, but within ±0.1", 0.001, 0.01, "lower", "otherwise"),  # counts as none
        ("lower, but within ±0.1", 0.001, 0.2, "lower", "undecided"),  # neither is shown
        ("lower, but within ±0.1", 0.001, 0.01, "kept", "as expected"),
        ("lower, but within ±0.1", 0.001, 0.2, "kept", "undecided"),
        ("preserved within ±0.1", 0.9, 0.01, "lower", "otherwise"),
        ("preserved within ±0.1", 0.9, 0.06, "lower", "undecided"),  # not after Holm either
        ("preserved within ±0.1", 0.9, 0.01, "kept", "as expected"),
        ("preserved within ±0.1", 0.9, 0.06, "kept", "undecided"),
        ("higher", 0.001, 1.0, "kept", "as expected"),
        ("higher", 0.001, 1.0, "lower", "otherwise"),
        ("higher", 0.06, 1.0, "lower", "undecided"),
        ("higher, but within ±0.1", 0.001, 0.2, "lower", "otherwise"),  # opposite, however small
        ("higher, but within ±0.1", 0.2, 0.2, "lower", "undecided"),
        ("higher", 0.001, 1.0, "higher", "as expected"),
        ("lower", 0.001, 1.0, "higher", "otherwise"),
        ("no evidence either way", 0.5, 0.5, "lower", "undecided"),
        ("no evidence either way", 0.5, 0.5, "kept", "undecided"),
        (None, None, None, "lower", "undecided"),
    ],
)
def test_differences(verdict, p_holm, p_equivalence_holm, expect, found):
    row = intervals(verdict)
    row |= {"p_holm": p_holm, "p_equivalence_holm": p_equivalence_holm}
    assert outcome({"measure": "difference", "expect": expect, **row}) == found


@pytest.mark.parametrize(
    "value, p_holm, found",
    [
        (0.2, 0.01, "as expected"),
        (0.2, 0.06, "undecided"),
        (-0.2, 0.01, "otherwise"),
        (None, None, "undecided"),
    ],
)
def test_alignment_above_zero_keeps_its_sign(value, p_holm, found):
    row = {"measure": "r", "value": value, "p_holm": p_holm, "expect": "positive"}
    assert outcome(row) == found


@pytest.mark.parametrize(
    "laws, found",
    [
        (["constant multiplier"] * 3, "as expected"),
        (["additive", "none of the three"], "otherwise"),
        (["constant multiplier", "additive"], "undecided"),
        (["undecided: constant multiplier or additive"], "undecided"),
        ([], "undecided"),
    ],
)
def test_laws(laws, found):
    assert outcome({"measure": "law", "laws": laws, "expect": "constant multiplier"}) == found


@pytest.mark.parametrize(
    "low, high, found",
    [
        (0.95, 1.05, "as expected"),
        (0.5, 0.7, "otherwise"),
        (1.2, 1.4, "otherwise"),
        (0.7, 1.0, "undecided"),
        (0.5, 1.5, "undecided"),  # seeds on both sides agree on nothing
    ],
)
def test_efforts_are_alike_only_if_every_seed_is(low, high, found):
    effort = {"value": (low + high) / 2, "low": low, "high": high}
    assert outcome({"measure": "effort", "effort": effort, "expect": "alike"}) == found


@pytest.mark.parametrize(
    "outcomes, said",
    [
        (["as expected", "as expected"], "reproduced"),
        (["as expected", "otherwise"], "conditional"),
        (["as expected", "undecided"], "conditional"),
        (["as expected", "not testable here"], "conditional"),
        (["otherwise", "otherwise"], "not reproduced"),
        (["otherwise", "undecided"], "undecided"),  # every test must be decided
        (["otherwise", "not testable here"], "undecided"),
        (["undecided", "not testable here"], "undecided"),
        (["not testable here", "not testable here"], "not testable here"),
        (["undecided"], "undecided"),
        ([], "undecided"),
    ],
)
def test_conclusions(outcomes, said):
    assert conclusion(outcomes) == said


# -- what a claim requires -------------------------------------------------------------------------


KNOWN = Known(
    r={"base": Figure(0.5, 0.4, 0.6), "teacher": Figure(0.6, 0.5, 0.7), "blank": Figure(None)}.get,
    ratio=lambda a, b: Figure(1.5) if a == "sft" else Figure(None),
    ceiling=0.65,
    called=lambda name: name,
)


@pytest.mark.parametrize(
    "measure, a, b, at_least, met",
    [
        ("difference", "teacher", "base", 0.1, True),  # .6 - .5 is just below .1 in binary
        ("difference", "teacher", "base", 0.11, False),
        ("difference", "base", "teacher", 0.1, False),
        ("difference", "teacher", "blank", 0.1, None),
        ("r", "base", "", 0.5, True),
        ("r", "base", "", 0.51, False),
        ("r", "blank", "", 0.1, None),
        ("room", "base", "", 0.15, True),
        ("room", "teacher", "", 0.15, False),
        ("ratio", "sft", "base", 1.5, True),
        ("ratio", "sft", "base", 1.51, False),
        ("ratio", "grpo", "base", 1.5, None),
    ],
)
def test_a_requirement_is_met_by_the_estimate(measure, a, b, at_least, met):
    assert check(Requirement(measure, a, at_least, b), KNOWN)["met"] is met


def test_a_requirement_says_its_numbers():
    found = check(Requirement("difference", "teacher", 0.2, "base"), KNOWN)
    said = found["said"].replace("\N{NO-BREAK SPACE}", " ")
    expected = (
        "r of teacher (.60 [.50, .70]) less that of base (.50 [.40, .60]) is .10, where .20 is"
    )
    assert said == f"{expected} required"
    room = check(Requirement("room", "base", 0.15), KNOWN._replace(ceiling=None))
    assert (room["met"], room["value"]) == (None, None)
    assert room["said"].startswith("the ceiling not known less r of base")


# -- constructed studies ---------------------------------------------------------------------------


def level(value, **more):
    """An arm's r."""
    ci = [value - 0.05, value + 0.05]
    return {"value": value, "ci": ci, "seeds_defined": 5, "n": 400, "draws_left_out": 0, **more}


def gap(difference, verdict, p=1.0, p_equivalence=1.0, **more):
    return {
        "difference": difference,
        "verdict": verdict,
        **intervals(verdict),
        "p": p,
        "p_equivalence": p_equivalence,
        "draws_left_out": 0,
        "right_only": None,
        **more,
    }


def lengths(tokens, direct=0.0):
    return {
        "geometric_mean_tokens": {"value": tokens, "low": tokens, "high": tokens},
        "no_reasoning_rate": {"value": direct},
    }


NONE = ("preserved within ±0.1", 0.9, 0.001)
LOWER = ("lower", 0.001, 1.0)
HIGHER = ("higher", 0.001, 1.0)


def constructed(*, base=0.5, teacher=0.7, sft=0.5, tokens=100.0, direct=0.0, gaps=(), ceiling=0.9):
    """A study of one claim, collapse, and its numbers; each can be given by temperature.

    ``gaps`` are the arguments of ``gap`` for sft - teacher at T = 1 and T = 0.
    """

    def at(value, place):
        return value[place] if isinstance(value, tuple) else value

    arms = {
        name: {when: {"r": level(at(r, place))} for place, when in enumerate(AT)}
        for name, r in (("base", base), ("teacher", teacher), ("sft", sft))
    }
    measures = {
        name: {
            when: lengths(
                at(tokens, place) if name == "sft" else 100.0, at(direct, place) * (name == "base")
            )
            for place, when in enumerate(AT)
        }
        for name in arms
    }
    test = ClaimTest(measure="difference", a="sft", b="teacher", expect="lower")
    numbers = {
        "tasks": {"human": ["alpha", "beta"], "analytic": []},
        "ceilings": {"alpha": ceiling, "beta": ceiling} if ceiling else {"alpha": 0.9},
        "arms": arms,
        "measures": measures,
        "factors": {},
        "oracle": None,
        "settings": {"draws": 10_000},
        "tests": [
            {"measure": "difference", "a": "sft", "b": "teacher", "expect": "lower", "at": when}
            | gap(at(sft, place) - at(teacher, place), *(gaps or (LOWER, LOWER))[place])
            for place, when in enumerate(AT)
        ],
    }
    return test, numbers


def concluded(test, numbers, *requires):
    """What is judged of a claim with these requirements."""
    claims = {"claim": Claim("X.", [test], list(requires))}
    return judge(SimpleNamespace(claims=claims, factors={}), numbers)


RISE = Requirement("difference", "teacher", 0.1, "base")
LONGER = Requirement("ratio", "sft", 1.5, "base")
ROOM = Requirement("room", "base", 0.15)


@pytest.mark.parametrize(
    "requires, numbers, conclusion, lacking",
    [
        ([RISE], {}, "reproduced", []),
        ([RISE], {"gaps": (NONE, NONE)}, "not reproduced", []),
        ([RISE], {"gaps": (HIGHER, NONE)}, "not reproduced", []),
        ([RISE], {"teacher": 0.55}, "not testable here", list(AT)),
        ([RISE], {"teacher": 0.55, "gaps": (NONE, NONE)}, "not testable here", list(AT)),
        ([RISE], {"teacher": 0.2, "sft": 0.0}, "not testable here", list(AT)),
        ([RISE], {"teacher": (0.7, 0.5)}, "conditional", ["T=0"]),
        ([RISE], {"teacher": (0.7, 0.5), "gaps": (NONE, NONE)}, "undecided", ["T=0"]),
        ([LONGER], {"tokens": 149.0}, "not testable here", list(AT)),
        ([LONGER], {"tokens": 151.0}, "reproduced", []),
        ([LONGER], {"tokens": 244.0, "gaps": (NONE, NONE)}, "not reproduced", []),
        ([ROOM], {"base": 0.74}, "reproduced", []),
        ([ROOM], {"base": 0.76}, "not testable here", list(AT)),
        ([ROOM], {"ceiling": None}, "not testable here", list(AT)),  # of beta it is not known
        ([RISE, LONGER], {"tokens": 200.0}, "reproduced", []),
        ([RISE, LONGER], {"tokens": (200.0, 100.0)}, "conditional", ["T=0"]),
        ([], {"teacher": 0.2}, "reproduced", []),
    ],
)
def test_a_claim_is_judged_only_where_it_can_come_true(requires, numbers, conclusion, lacking):
    claim = concluded(*constructed(**numbers), *requires)["claims"]["claim"]
    assert claim["conclusion"] == conclusion
    assert sorted({one["at"] for one in claim["requires"] if not one["met"]}) == sorted(lacking)
    assert claim["outcomes"].count("not testable here") == len(lacking)


def test_an_unknown_arm_leaves_a_claim_untestable():
    test, numbers = constructed()
    del numbers["arms"]["base"]
    claim = concluded(test, numbers, RISE)["claims"]["claim"]
    assert claim["conclusion"] == "not testable here"
    assert "`base` (not known) is not known" in claim["requires"][0]["said"]


def test_a_test_that_one_claim_cannot_use_counts_for_another():
    test, numbers = constructed(teacher=0.55)
    claims = {"x": Claim("X.", [test], [RISE]), "y": Claim("Y.", [test])}
    for given in (claims, dict(reversed(claims.items()))):
        found = judge(SimpleNamespace(claims=given, factors={}), numbers)
        assert found["claims"]["x"]["conclusion"] == "not testable here"
        assert found["claims"]["y"]["conclusion"] == "reproduced"
        assert {row["outcome"] for row in found["tests"]} == {"as expected"}


def test_refutations_are_corrected_as_confirmations_are():
    """Eight equivalence tests at p = .02: each would refute, none does after Holm."""
    test, numbers = constructed(gaps=(("preserved within ±0.1", 0.9, 0.02),) * 2)
    assert concluded(test, numbers)["claims"]["claim"]["conclusion"] == "not reproduced"
    others = [{**row, "a": f"arm{k}"} for row in numbers["tests"] for k in range(3)]
    numbers["tests"] += others
    found = concluded(test, numbers)
    assert found["tests"][0]["p_equivalence_holm"] == pytest.approx(0.16)
    assert found["claims"]["claim"]["outcomes"] == ["undecided"] * 2
    # Their p of a difference are a family apart.
    numbers["tests"][0] |= gap(-0.3, "lower", p=0.004)
    assert concluded(test, numbers)["tests"][0]["p_holm"] == pytest.approx(0.032)


def test_the_p_of_opposite_directions_is_corrected_too():
    test, numbers = constructed(gaps=(("higher", 0.02, 1.0),) * 2)
    assert concluded(test, numbers)["claims"]["claim"]["conclusion"] == "not reproduced"
    numbers["tests"] += [{**numbers["tests"][0], "a": "other"}]
    assert concluded(test, numbers)["claims"]["claim"]["conclusion"] == "undecided"


@pytest.mark.parametrize(
    "direct, draws, conclusion, why",
    [
        (0.0, 0, "reproduced", None),
        (0.05, 0, "reproduced", None),
        (0.0, 100, "reproduced", None),
        (0.0, 101, "undecided", "r undefined in 1.0"),
    ],
)
def test_degenerate_draws_withhold_interval_and_verdict(direct, draws, conclusion, why):
    test, numbers = constructed(direct=direct)
    for row in numbers["tests"]:
        row["draws_left_out"] = draws
    before = copy.deepcopy(numbers)
    found = concluded(test, numbers)
    assert found["claims"]["claim"]["conclusion"] == conclusion
    row = found["tests"][0]
    assert (row["ci"] is None) == (row["verdict"] is None) == (row["p"] is None) == bool(why)
    assert row["withheld"] is None if why is None else row["withheld"].startswith(why)
    assert numbers == before


def test_direct_answers_withhold_a_verdict_on_r():
    test, numbers = constructed()
    numbers["measures"]["teacher"]["T=1"]["no_reasoning_rate"]["value"] = 0.06
    found = concluded(test, numbers)
    assert found["claims"]["claim"]["outcomes"] == ["undecided", "as expected"]
    row = found["tests"][0]
    assert row["withheld"].replace("\N{NO-BREAK SPACE}", " ") == "direct answers: 6.0 % of teacher"
    assert row["verdict"] is None and row["ci"] is not None


def test_direct_answers_of_either_arm_withhold_the_verdict_of_a_factor():
    test, numbers = constructed(direct=0.2)
    numbers["factors"] = {"f": {"sft": {at: gap(-0.3, "lower") for at in AT}}}
    claims, factors = {"claim": Claim("X.", [test])}, {"f": Factor("?", "base", ["sft"])}
    study = SimpleNamespace(claims=claims, factors=factors)
    for row in judge(study, numbers)["factors"]["f"]["sft"].values():
        assert row["verdict"] is None and "20" in row["withheld"]


# -- the project's study ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mimicry():
    """What is declared, and what the committed numbers say of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        study = load_experiment(MIMICRY)
        return study, judge(study, stored(study, NUMBERS))


def test_the_page_is_what_its_numbers_make(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    written = tmp_path / "mimicry.md"
    written.write_bytes(PAGE.read_bytes())
    cli.command(["study", str(MIMICRY), "--page", str(written), "--numbers", str(NUMBERS)])
    assert written.read_bytes() == PAGE.read_bytes()
    made = {path.name: path.read_bytes() for path in (tmp_path / "mimicry").iterdir()}
    assert made == {path.name: path.read_bytes() for path in NUMBERS.parent.iterdir()}


def test_the_page_names_the_command_that_makes_it():
    command = "handan study recipes/studies/mimicry.yaml --page docs/results/mimicry.md"
    for page in (PAGE, Path("docs/experiments.md")):
        text = re.sub(r"\\\n *", "", (ROOT / page).read_text())
        assert re.search(rf"{command} --numbers docs/results/mimicry/study\.json", text)


# Verdicts of the page as it stood before claims required anything, and of its tests.
BEFORE = {
    "mirror": "reproduced",
    "collapse": "not reproduced",
    "negative transfer": "not reproduced",
    "inflation": "undecided",
    "cargo cult": "not reproduced",
    "reinforcement": "conditional",
}
TESTS_BEFORE = {
    "`teacher`": ("as expected", "as expected"),
    "`grpo`": ("as expected", "as expected"),
    "`sft` - `teacher`": ("otherwise", "undecided"),
    "`sft` - `base`": ("otherwise", "otherwise"),
    "`sft` on `base`": ("undecided", "undecided"),
    "`sft` on `teacher`": ("otherwise", "undecided"),
    "`grpo` - `base`": ("as expected", "as expected"),
    "`teacher` - `cold_start`": ("as expected", "undecided"),
    "`sft` - `grpo`": ("as expected", "otherwise"),
    "`sft_own` - `grpo`": ("otherwise", "otherwise"),
}


def test_every_changed_verdict_is_listed_and_no_other(mimicry):
    _, found = mimicry
    before = {(name, ""): verdict for name, verdict in BEFORE.items()}
    before |= {
        (what, at): verdict
        for what, both in TESTS_BEFORE.items()
        for at, verdict in zip(AT, both, strict=True)
    }
    now = {(n.replace("_", " "), ""): c["conclusion"] for n, c in found["claims"].items()}
    joined = {"difference": " - ", "law": " on ", "effort": " on "}
    for row in found["tests"]:
        arms = [f"`{arm}`" for arm in (row["a"], row["b"]) if arm]
        now[joined.get(row["measure"], "").join(arms), row["at"]] = row["outcome"]
    assert now.keys() == before.keys()
    section = (ROOT / PAGE).read_text().split("### Verdicts that changed")[1].split("\n## ")[0]
    rows = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("| ")]
    listed = {
        (what.strip(), at.strip()): (old.strip(), new.strip())
        for what, at, old, new, why in rows[1:]
        if why.strip()
    }
    assert listed == {k: (old, now[k]) for k, old in before.items() if old != now[k]}


def test_the_reasons_on_the_page_are_the_numbers(mimicry):
    _, found = mimicry
    claims = found["claims"]
    values = {
        name: [round(one["value"], 2) for one in claim["requires"]]
        for name, claim in claims.items()
    }
    assert values["collapse"] == [-0.04, -0.13]
    assert values["inflation"] == [1.01, 1.01]
    assert values["cargo_cult"] == [1.22, 1.44, -0.04, -0.13]
    assert values["reinforcement"] == [0.25, 0.07]
    (test,) = (
        row
        for row in found["tests"]
        if (row["measure"], row["a"], row["b"], row["at"]) == ("difference", "sft", "base", "T=1")
    )
    assert (
        round(test["p_equivalence"], 3) == 0.019 and round(test["p_equivalence_holm"], 3) == 0.094
    )
    base, teacher = (
        [round(found["arms"][n][at]["r"]["value"], 2) for at in AT] for n in ("base", "teacher")
    )
    assert (base, teacher) == ([0.70, 0.89], [0.67, 0.76])
    assert round(found["oracle"]["value"], 2) == base[1]


def test_no_verdict_of_a_factor_rests_on_direct_answers_or_undefined_draws(mimicry):
    study, found = mimicry
    starts = {"base", "cold_start", "base_constant", "base_mixed", "base_small"}
    degenerate = {"sft_constant", "constant_sft_carry", "grpo_mixed", "grpo_mixed_price"}
    for name, factor in study.factors.items():
        for arm, of in found["factors"][name].items():
            assert (of["T=1"]["verdict"] is None) == (factor.against in starts)
            assert (of["T=0"]["verdict"] is None) == (arm in degenerate)
            assert (of["T=0"]["ci"] is None) == (arm in degenerate)


def test_ceilings_are_those_of_the_numbers(mimicry):
    """They were solved from r and r / ceiling of all arms; each arm must agree with them."""
    _, found = mimicry
    checked = 0
    for arm, of in found["arms"].items():
        for at in AT:
            by_task = {task: of[at][f"r_{task}"]["by_seed"] for task in found["ceilings"]}
            if any(r is None for values in by_task.values() for r in values):
                continue
            ratios = [sum(r) / len(r) / found["ceilings"][task] for task, r in by_task.items()]
            normalized = found["measures"][arm][at]["r_loglog_normalized"]["value"]
            assert sum(ratios) / len(ratios) == pytest.approx(normalized, rel=1e-12)
            checked += 1
    assert checked == 69


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda numbers: numbers.pop("ceilings"), "no study.json of a study, for it has no 'ceil"),
        (
            lambda numbers: numbers["settings"].update(equivalence_bound=0.2),
            "equivalence_bound 0.2",
        ),
        (lambda numbers: numbers["settings"].update(task_weights="x"), "task_weights x, and equal"),
        (lambda numbers: numbers["tests"].pop(0), "has no r teacher T=1, which is declared"),
        (lambda numbers: numbers["factors"].pop("size"), "has no factor size, which is declared"),
    ],
)
def test_numbers_of_another_study_are_refused(tmp_path, monkeypatch, change, said):
    monkeypatch.chdir(ROOT)
    numbers = read_json(NUMBERS)
    change(numbers)
    write_json(tmp_path / "study.json", numbers)
    with pytest.raises(UserError, match=said):
        stored(load_experiment(MIMICRY), tmp_path / "study.json")


@pytest.mark.parametrize("option", ["--dry_run", "--list", "--only=x", "--seed=3"])
def test_numbers_look_at_no_run(monkeypatch, option):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=f"--numbers looks at no run, so {option.split('=')[0]} "):
        cli.command(["study", str(MIMICRY), "--numbers", str(NUMBERS), option])


def test_marks_of_requirements_are_on_every_page():
    for page in (PAGE, Path("recipes/studies/page.md"), Path("recipes/studies/larger/page.md")):
        text = (ROOT / page).read_text()
        assert "requirements" in {mark["name"] for mark in pages.MARK.finditer(text)}
        assert re.search("not for other\\s+people|leave out people", text)
