"""Every shell script of the project is checked; those for Slurm run on a real one if it is here."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from embedded import ROOT, small_suite

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


# Numbers jobs from 11 on, and says how it was called.
SBATCH = """#!/bin/bash
echo "$@" >>"$CALLS"
echo "$((10 + $(wc -l <"$CALLS")));cluster"
"""
PROMPTS = "families: {ordering: 1.0}\nwidths: [1]\nnum_problems: 40\nseed: 3\n"
MODELS = {"base": "handan/tiny/weights/base", "none": "handan/tiny/weights/none"}


def cluster(tmp_path):
    """An experiment of two evaluations, of which one fails, and what scripts for Slurm find."""
    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", SBATCH), ("scontrol", "#!/bin/bash\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    content = {"output_dir": str(tmp_path / "out"), "configs": "recipes/configs/tiny"}
    content |= {"suite": str(small_suite(tmp_path)), "accelerate_config": None, "models": MODELS}
    quick = {"prompts": str(tmp_path / "prompts.yaml"), "probe_steps": 0, "num_generations": 2}
    quick |= {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
    quick |= {"max_steps": 2000, "save_steps": 2000}
    (tmp_path / "prompts.yaml").write_text(PROMPTS)
    arms = {"a": {"recipe": "grpo", "start": "base", "settings": quick}}
    arms["b"] = arms["a"] | {"start": "a"}
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(yaml.safe_dump(content | {"arms": arms}))
    path = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    more = {"PATH": path, "CALLS": str(tmp_path / "calls"), "VENV": sys.prefix}
    return experiment, {**os.environ, "PYTHONPATH": str(ROOT), **more}


def test_a_study_is_an_array_for_each_wave_after_the_one_before(tmp_path):
    experiment, environment = cluster(tmp_path)
    words = [ROOT / "launch/slurm/stages.sh", "experiment", experiment]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    (made,) = ROOT.glob("slurm-experiment-*.tsv")
    listed = made.read_text().splitlines()
    made.unlink()
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert len(calls) == 3 and "--dependency" not in " ".join(calls[0])
    assert [c[2] for c in calls[1:]] == ["--dependency=afterany:11", "--dependency=afterany:12"]
    for wave, call in enumerate(calls, start=1):
        numbers = [n for n, line in enumerate(listed, 1) if line.startswith(f"{wave}\t")]
        assert call[:2] == ["--parsable", f"--array={','.join(map(str, numbers))}"]
        assert call[-4:] == ["launch/slurm/stages.sbatch", "experiment", str(experiment), made.name]
    assert done.stdout.startswith("wave 1: job 11, stages 1,2,3 of slurm-experiment-")


def test_a_task_runs_the_stage_in_its_line(tmp_path):
    experiment, environment = cluster(tmp_path)
    listed = tmp_path / "list.tsv"
    listed.write_text("1\tevaluate-base\tready\n1\tevaluate-none\tready\n2\ttrain-b\twaiting\n")

    def task(number):
        words = ["bash", ROOT / "launch/slurm/stages.sbatch", "experiment", experiment, listed]
        more = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_JOB_ID": "1"}
        done = subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, env=environment | more
        )
        return done.returncode, done.stderr

    assert task(1) == (0, "")
    assert (tmp_path / "out/logs/evaluate-base.done.json").exists()
    code, said = task(2)
    assert code == 2 and "evaluate-none failed" in said
    assert (tmp_path / "out/logs/evaluate-none.failed.json").exists()
    code, said = task(3)
    assert code == 2 and "train-b needs train-a, which is not finished" in said
    assert task(4) == (2, f"{listed}: line 4 is missing or empty\n")


def test_a_task_that_is_warned_is_requeued(tmp_path):
    experiment, environment = cluster(tmp_path)
    listed = tmp_path / "list.tsv"
    listed.write_text("1\ttrain-a\tready\n")
    requeued = tmp_path / "requeued"
    (tmp_path / "bin" / "scontrol").write_text(f'#!/bin/bash\necho "$@" >"{requeued}"\n')
    words = ["bash", ROOT / "launch/slurm/stages.sbatch", "experiment", experiment, listed]
    more = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_JOB_ID": "9"}
    task = subprocess.Popen(words, cwd=ROOT, env=environment | more, start_new_session=True)
    deadline = time.monotonic() + 240
    while not (tmp_path / "out/a/metrics.jsonl").exists():
        assert task.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    task.send_signal(signal.SIGUSR1)
    while not requeued.exists():
        assert task.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(task.pid, signal.SIGKILL)  # as Slurm ends a job that it has requeued
    task.wait()
    assert requeued.read_text() == "requeue 9\n"
    assert list((tmp_path / "out/a").glob("checkpoint-*"))
    assert not (tmp_path / "out/logs/train-a.failed.json").exists()


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
