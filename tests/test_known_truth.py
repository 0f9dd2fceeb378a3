"""Studies whose truth is known: every figure is recovered within its interval, most of the time.

Each test makes several studies, because a 95 % interval misses one in twenty by design.
"""

import numpy as np
import pytest

from handan.alignment.align import align

# Of 120 intervals that cover at 95 %, fewer are right in one of a thousand tests.
LEAST = 0.883
SCALE = 0.6  # standard deviation of the base's log cost


def made(
    *, r=0.6, a=0.9, b=0.8, residual=0.25, noise=0.0, num_samples=1, cap=None, num_items=120, seed=0
):
    """A base whose log cost has the given r with log time, and a student a + b base + residual.

    ``noise`` is the standard deviation of a sample around its item, in logs; ``cap`` cuts.
    """
    generator = np.random.default_rng([11, seed])
    log_time, own, apart = generator.normal(size=(3, num_items))
    base = 8 + SCALE * (r * log_time + np.sqrt(1 - r**2) * own)
    student = a + b * base + residual * apart
    rows = []
    for model, log_cost in (("base", base), ("student", student)):
        for item in range(num_items):
            for sample in range(num_samples):
                tokens = np.exp(log_cost[item] + noise * generator.normal())
                capped = cap is not None and tokens >= cap
                rows.append(
                    {
                        "model": model,
                        "task": "t",
                        "item": f"i{item:04d}",
                        "sample": sample,
                        "reasoning_tokens": round(cap if capped else tokens),
                        "human_rt_s": float(np.exp(1 + 0.4 * log_time[item])),
                        "status": "truncated" if capped else "complete",
                    }
                )
    return rows


def student_r(r, b, residual):
    return b * SCALE * r / np.hypot(b * SCALE, residual)


def covered(truths, find, num_studies=120, **settings):
    """Share of studies in which the interval that ``find`` returns holds each truth."""
    hits = np.zeros(len(truths))
    for seed in range(num_studies):
        result = align(made(seed=seed, **settings), bootstrap=300, seed=seed, reference="base")
        for place, (truth, bounds) in enumerate(zip(truths, find(result), strict=True)):
            hits[place] += bounds[0] <= truth <= bounds[1]
    return hits / num_studies


def task(result, model):
    return result["models"][model]["tasks"]["t"]


@pytest.mark.parametrize("r", [0.6, -0.5, 0.0])
def test_r_and_differences_of_r(r):
    of_student = student_r(r, 0.8, 0.25)

    def find(result):
        return (
            task(result, "base")["r_loglog_ci"],
            task(result, "student")["r_loglog_ci"],
            result["contrasts"][0]["ci"],
        )

    assert covered((r, of_student, of_student - r), find, r=r).min() >= LEAST


def test_line_of_the_student_on_its_base():
    def find(result):
        fit = result["inflation"][0]
        return fit["a_ci"], fit["b_ci"], fit["residual_sd_ci"], fit["theil_sen"]["b_ci"]

    assert covered((0.9, 0.8, 0.25, 0.8), find).min() >= LEAST


def test_slope_and_reliability_under_sampling_noise():
    noise, num_samples = 0.6, 4
    reliability = SCALE**2 / (SCALE**2 + noise**2 / num_samples)

    def find(result):
        fit = result["inflation"][0]
        return fit["corrected"]["b_ci"], task(result, "base")["reliability_model_ci"]

    settings = {"noise": noise, "num_samples": num_samples}
    assert covered((0.8, reliability), find, **settings).min() >= LEAST
    # Least squares alone is flattened by that reliability.
    fits = [
        align(made(seed=seed, **settings), bootstrap=100, reference="base")["inflation"][0]
        for seed in range(20)
    ]
    assert np.mean([fit["b"] for fit in fits]) == pytest.approx(0.8 * reliability, abs=0.05)
    assert np.mean([fit["corrected"]["b"] for fit in fits]) == pytest.approx(0.8, abs=0.06)
    assert np.mean([fit["corrected"]["reliability_base"] for fit in fits]) == pytest.approx(
        reliability, abs=0.03
    )
    noise_of_both = np.sqrt((1 + 0.8**2 * reliability) * noise**2 / num_samples)
    assert np.mean([fit["noise_sd"] for fit in fits]) == pytest.approx(noise_of_both, rel=0.05)


def test_r_under_a_cap():
    r, cap = 0.6, float(np.exp(8.2))

    def find(result):
        return (task(result, "base")["sensitivity"]["censored"]["ci"],)

    assert covered((r,), find, r=r, cap=cap).min() >= LEAST


def test_disattenuation_finds_the_r_behind_the_noise():
    noise, num_samples, r = 0.8, 4, 0.6
    found = []
    for seed in range(20):
        rows = made(r=r, noise=noise, num_samples=num_samples, num_items=200, seed=seed)
        # Participants whose noise gives people's means a reliability of 1 / (1 + .5^2 / 8).
        generator = np.random.default_rng([12, seed])
        shifts = {(row["item"], p): generator.normal() for row in rows for p in range(8)}
        people = [
            row
            | {"participant": f"p{p}"}
            | {"human_rt_s": row["human_rt_s"] * float(np.exp(0.2 * shifts[row["item"], p]))}
            for row in rows
            if row["model"] == "base"
            for p in range(8)
        ]
        figures = task(align(people, bootstrap=100), "base")
        assert figures["r_loglog"] < figures["r_loglog_normalized"]
        assert figures["r_loglog_normalized"] < figures["r_loglog_disattenuated"]
        found.append(figures["r_loglog_disattenuated"])
    assert np.mean(found) == pytest.approx(r, abs=0.03)


def laws(make_student, num_studies=25, noise=0.15):
    """The law that is named in each of several studies."""
    named = []
    for seed in range(num_studies):
        generator = np.random.default_rng([13, seed])
        base = np.exp(generator.normal(7, 0.9, 150))
        student = make_student(base, generator) * np.exp(noise * generator.normal(size=150))
        rows = [
            {"model": model, "task": "t", "item": f"i{item:03d}", "human_rt_s": 1 + item}
            | {"reasoning_tokens": max(1, round(tokens[item]))}
            for model, tokens in (("base", base), ("student", student))
            for item in range(150)
        ]
        fit = align(rows, bootstrap=400, seed=seed, reference="base")["inflation"][0]
        named.append(fit["law"])
    return named


def test_a_constant_multiplier_is_told():
    named = laws(lambda base, _: 2.44 * base)
    assert named.count("constant multiplier") >= 21


def test_an_additive_student_is_told():
    named = laws(lambda base, _: base + 1500)
    assert named.count("additive") >= 21


def test_a_decoupled_student_is_told():
    named = laws(lambda base, generator: generator.permutation(base))
    assert named.count("decoupled") >= 21


def test_a_student_as_long_as_its_base_leaves_it_open():
    named = laws(lambda base, _: base)
    assert named.count("undecided: constant multiplier or additive") >= 21


def test_a_power_law_is_none_of_the_three():
    named = laws(lambda base, _: 0.01 * base**1.6)
    assert named.count("none of the three") == len(named)
