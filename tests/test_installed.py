"""Everything that works in a clone works where the wheel is installed, in an empty folder."""

import os
import subprocess
import sys

import pytest
import yaml
from embedded import ROOT

from handan.files import read_json

# Several commands in one Python, which imports everything once.
COMMANDS = "import sys; from handan.cli import command; [command(c.split()) for c in sys.argv[1:]]"
PAIR, MIMICRY = "recipes/experiments/tiny_pair.yaml", "recipes/studies/mimicry.yaml"
CONFIGS = "recipes/configs/tiny"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of packages that holds the wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    python = [sys.executable, "-m"]
    subprocess.run(
        [*python, "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True
    )
    install = [*python, "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, folder / "site", *folder.glob("*.whl")], check=True)
    return folder / "site"


@pytest.fixture
def handan(site, tmp_path):
    """Run commands in an empty folder."""

    def run(*commands, code=0):
        words = [sys.executable, "-c", COMMANDS, *commands]
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    return run


def test_plans_need_no_clone(handan, site, tmp_path):
    printed = handan(f"study {MIMICRY} --list", f"experiment {PAIR} --dry_run")
    assert "seed-1-train-teacher\tready" in printed
    assert f"{site}/handan/shipped/recipes/grpo.py --config {CONFIGS}/grpo.yaml" in printed
    assert list(tmp_path.iterdir()) == []


def test_init_copies_what_can_be_edited_and_overwrites_nothing(handan, tmp_path):
    grpo = tmp_path / CONFIGS / "grpo.yaml"
    grpo.parent.mkdir(parents=True)
    grpo.write_text("mine")
    handan("init .")
    assert grpo.read_text() == "mine"
    for name in (PAIR, MIMICRY, "eval/engines/vllm.yaml", "launch/accelerate/zero2.yaml"):
        assert (tmp_path / name).read_text() == (ROOT / name).read_text()
    assert os.access(tmp_path / "launch" / "pair.sh", os.X_OK)


def test_a_training_is_planned_from_what_is_installed(handan):
    printed = handan(f"train grpo --config {CONFIGS}/grpo.yaml --dry_run")
    assert "model    handan/tiny/weights/base (directory)" in printed


@pytest.mark.slow
def test_an_arm_is_trained_evaluated_and_reported(handan, tmp_path):
    few = yaml.safe_load((ROOT / CONFIGS / "prompts.yaml").read_text()) | {"num_problems": 60}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(few))
    handan(f"traces --config {CONFIGS}/traces.yaml --prompts few.yaml --output_dir traces")
    short = "--prompts few.yaml --max_steps 2 --probe_steps 0 --output_dir sft"
    handan(f"train sft --config {CONFIGS}/sft_distill.yaml --traces traces/traces.jsonl {short}")
    handan("evaluate --model sft --suite eval/suites/tiny_probe.yaml --output_dir sft")
    handan("sweep --run sft --suite eval/suites/tiny_probe.yaml")
    handan("report sft --output report.html")
    assert (tmp_path / "report.html").exists()
    settings = yaml.safe_load((tmp_path / "sft" / "config.yaml").read_text())["training"]
    assert settings["model_name_or_path"] == "handan/tiny/weights/base"  # as it is written
    assert read_json(tmp_path / "traces" / "run.json")["traces"]["parameters"] == 337_200


@pytest.mark.slow
def test_the_quick_demo_runs_to_its_report(handan, tmp_path):
    handan("demo --quick")
    assert (tmp_path / "runs" / "tiny_pair" / "report.html").exists()
    assert read_json(tmp_path / "runs" / "tiny_pair" / "grpo" / "run.json")["arm"] == "grpo"
