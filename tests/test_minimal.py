"""recipes/minimal.py: the whole idea in one file, run in miniature."""

import re

from embedded import ROOT, run_script


def test_it_trains_both_ways_and_prints_r_with_its_interval():
    script = ROOT / "recipes" / "minimal.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 150
    result = run_script(script, "--steps", "1", "--samples", "1")
    printed = result.stdout
    row = r"^{} +binary_{} +r [+-]\.?\d.*\[[+-].*\], {} items, "
    for arm in ("base", "sft", "grpo"):
        assert re.search(row.format(arm, "addition", 256), printed, re.MULTILINE)
        assert re.search(row.format(arm, "subtraction", 136), printed, re.MULTILINE)
