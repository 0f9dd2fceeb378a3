"""Every shell script of the project is checked; those for Slurm run on a real one if it is here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from embedded import ROOT

FOLDERS = ("launch/**/*.sh", "launch/**/*.sbatch", "benchmarks/*.sh", ".ci/run")
SCRIPTS = sorted(path for pattern in FOLDERS for path in ROOT.glob(pattern))
BATCH = [path for path in SCRIPTS if path.suffix == ".sbatch"]
NEEDED = ("slurmctld", "slurmd", "sbatch", "munged")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(path):
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run(["bash", "-n", path], check=True)
    done = subprocess.run([shellcheck, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", BATCH, ids=lambda path: path.name)
def test_sbatch_reads_every_option(path):
    lines = path.read_text().splitlines()
    first_command = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    options = [n for n, line in enumerate(lines) if line.startswith("#SBATCH ")]
    assert options and max(options) < first_command  # sbatch stops reading at the first command
    text = path.read_text()
    for wanted in ("--requeue", "--open-mode=append", "--signal=B:USR1@", "--time="):
        assert f"#SBATCH {wanted}" in text
    assert "your site" in text


def test_pair_says_how_it_is_called():
    done = subprocess.run([ROOT / "launch/pair.sh"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "usage: launch/pair.sh EXPERIMENT.yaml [ACCELERATE_CONFIG.yaml]\n"


def test_pair_hands_its_words_to_the_experiment(tmp_path):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    words = [str(tmp_path / "none.yaml"), "launch/accelerate/cpu.yaml"]
    done = subprocess.run(
        [ROOT / "launch/pair.sh", *words], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"handan: error: {tmp_path}/none.yaml: no such file"


def test_the_skypilot_task_starts_what_the_project_has():
    task = yaml.safe_load((ROOT / "launch/skypilot.yaml").read_text())
    assert {"resources", "workdir", "envs", "setup", "run"} <= task.keys()
    assert "launch/pair.sh" in task["run"]
    for path in task["envs"].values():
        assert (ROOT / path).is_file()
    for script in (task["setup"], task["run"]):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.slow
@pytest.mark.skipif(
    os.getuid() != 0 or not all(map(shutil.which, NEEDED)),
    reason="needs root and slurmctld, slurmd, sbatch, munged: apt-get install slurm-wlm munge",
)
def test_jobs_on_a_real_slurm_are_requeued_and_end_with_the_same_weights(tmp_path):
    tmp_path.chmod(0o755)
    environment = {**os.environ, "VENV": sys.prefix}
    done = subprocess.run(
        [ROOT / "benchmarks/slurm_jobs.sh", tmp_path],
        capture_output=True,
        text=True,
        env=environment,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("all as it should be")
