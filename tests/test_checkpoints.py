"""What makes a checkpoint whole, where a training goes on, and saves that the system refuses."""

import json
import resource
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from embedded import WEIGHTS
from saved import ALONE, checkpoint, complete_checkpoints
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments
from trl import GRPOConfig, SFTConfig

from handan.checkpoints import found, seal, what_is_wrong
from handan.errors import UserError
from handan.files import read_json, write_json
from handan.generation.loading import fingerprint_of
from handan.launch import SINGLE, Processes
from handan.training.ledger import Ledger
from handan.training.resume import checkpoint_to_resume, forget_after
from handan.training.saving import StopRequest, attach
from handan.training.settings import check_saving


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(path, **changes):
    write_json(path, read_json(path) | changes)


def forget(folder, name):
    """As if a file had never been saved."""
    (folder / name).unlink()
    manifest = read_json(folder / "manifest.json")
    files = [entry for entry in manifest["files"] if entry["path"] != name]
    edit(folder / "manifest.json", files=files)


DAMAGES = {
    "truncated": (
        lambda f: (f / "model.safetensors").write_bytes(b"half"),
        "damaged: model.safetensors has 4 bytes, not the 252 that were saved",
    ),
    "flipped": (
        lambda f: flip(f / "optimizer.pt"),
        "damaged: optimizer.pt holds other bytes than were saved",
    ),
    "gone": (
        lambda f: (f / "scheduler.pt").unlink(),
        "damaged: scheduler.pt is missing or cannot be read",
    ),
    "no manifest": (
        lambda f: (f / "manifest.json").unlink(),
        "incomplete: no manifest.json, which is written last",
    ),
    "half a manifest": (
        lambda f: (f / "manifest.json").write_text('{"step": 20, "files": ['),
        "damaged: manifest.json is not one that was written here",
    ),
    "some other manifest": (
        lambda f: (f / "manifest.json").write_text("[]"),
        "damaged: manifest.json is not one that was written here",
    ),
    "of another step": (
        lambda f: edit(f / "manifest.json", step=10),
        "damaged: manifest.json is of step 10",
    ),
    "no optimizer": (lambda f: forget(f, "optimizer.pt"), "damaged: it has no optimizer state"),
    "no scheduler": (lambda f: forget(f, "scheduler.pt"), "damaged: it has no scheduler.pt"),
    "no random state": (lambda f: forget(f, "rng_state.pth"), "damaged: it has no rng_state.pth"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_reported_and_the_newest_whole_one_used(tmp_path, capsys, damage):
    whole, damaged = checkpoint(tmp_path, 10), checkpoint(tmp_path, 20)
    assert what_is_wrong(damaged) is None
    spoil, reason = DAMAGES[damage]
    spoil(damaged)
    assert what_is_wrong(damaged) == reason
    assert checkpoint_to_resume(tmp_path, "auto", ALONE, SINGLE) == str(whole)
    assert f"{damaged}: {reason}; not used" in capsys.readouterr().out
    assert damaged.exists()  # until it is sure that the training goes on here
    forget_after(tmp_path, 10)
    assert list(found(tmp_path)) == [10]
    assert f"{damaged}: removed; step 20 is trained again" in capsys.readouterr().out


def test_a_model_needs_no_state_of_the_training(tmp_path):
    folder = checkpoint(tmp_path, 20)
    flip(folder / "optimizer.pt")
    assert what_is_wrong(folder, "model") is None
    flip(folder / "model.safetensors")
    assert "model.safetensors holds other bytes" in what_is_wrong(folder, "model")
    assert list(complete_checkpoints(tmp_path)) == [20]  # by its sizes


def test_what_is_put_into_a_checkpoint_later_does_not_matter(tmp_path):
    folder = checkpoint(tmp_path, 20)
    (folder / "notes.txt").write_text("good one")
    (tmp_path / "checkpoint-20-copy").mkdir()
    assert what_is_wrong(folder) is None
    assert list(found(tmp_path)) == [20]


def test_resume_never_and_must(tmp_path):
    assert checkpoint_to_resume(tmp_path, "never", ALONE, SINGLE) is None
    with pytest.raises(UserError, match=r"'must', but there is no whole checkpoint; set resume"):
        checkpoint_to_resume(tmp_path, "must", ALONE, SINGLE)
    folder = checkpoint(tmp_path, 20)
    assert checkpoint_to_resume(tmp_path, "must", ALONE, SINGLE) == str(folder)
    with pytest.raises(UserError, match="checkpoint-20: exists and resume is 'never'; remove it"):
        checkpoint_to_resume(tmp_path, "never", ALONE, SINGLE)
    flip(folder / "optimizer.pt")
    with pytest.raises(UserError, match=r"whole checkpoint \(checkpoint-20: damaged: optimizer.pt"):
        checkpoint_to_resume(tmp_path, "must", ALONE, SINGLE)


def test_a_training_begins_anew_if_no_checkpoint_is_whole_and_says_so(tmp_path, capsys):
    flip(checkpoint(tmp_path, 20) / "optimizer.pt")
    assert checkpoint_to_resume(tmp_path, "auto", ALONE, SINGLE) is None
    assert "no whole checkpoint, so the training begins anew" in capsys.readouterr().out


ZERO2 = {"processes": 2, "engine": "DEEPSPEED", "zero_stage": 2}


@pytest.mark.parametrize(
    ("saved", "now", "message"),
    [
        ({}, {"processes": 2}, "saved by processes 1, engine NO, but this launch is processes 2"),
        ({"processes": 2}, {}, "saved by processes 2, engine NO, but this launch is processes 1"),
        ({}, {"engine": "FSDP", "fsdp_version": 2}, "this launch is .* engine FSDP, fsdp_version"),
        (ZERO2, ZERO2 | {"zero_stage": 3}, "saved by .* zero_stage 2, but .* zero_stage 3; start"),
        (ZERO2, ZERO2 | {"processes": 4}, "engine DEEPSPEED, zero_stage 2, but .* processes 4"),
    ],
)
def test_another_launch_never_goes_on_nor_falls_back_to_an_older_checkpoint(
    tmp_path, saved, now, message
):
    checkpoint(tmp_path, 10, **ALONE | now)
    folder = checkpoint(tmp_path, 20, **saved)
    with pytest.raises(UserError, match=f"checkpoint-20: .*{message}"):
        checkpoint_to_resume(tmp_path, "auto", ALONE | now, SINGLE)
    assert checkpoint_to_resume(tmp_path, "auto", ALONE | saved, SINGLE) == str(folder)


def together(size, function):
    """Run ``function(world)`` in so many threads that gather from each other as ranks do."""
    barrier, rows, out = threading.Barrier(size), [[] for _ in range(size)], [None] * size

    def run(rank):
        def gather(own):
            rows[rank] = own
            barrier.wait(300)
            collected = [row for of_rank in rows for row in of_rank]
            barrier.wait(300)
            return collected

        try:
            out[rank] = function(Processes(rank, size, gather))
        except UserError as error:
            out[rank] = error

    ranks = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in ranks:
        thread.start()
    for thread in ranks:
        thread.join(300)
    return out


def test_ranks_share_the_hashing_and_decide_as_the_first_one_does(tmp_path):
    folder = checkpoint(tmp_path, 20, processes=3)
    alone = read_json(folder / "manifest.json")
    (folder / "manifest.json").unlink()
    together(3, lambda world: seal(folder, ALONE | {"processes": 3}, world))
    assert read_json(folder / "manifest.json") == alone
    (tmp_path / "elsewhere").mkdir()

    def decide(world):
        # The others see nothing, as on a file system that is slow to tell.
        place = tmp_path if world.rank == 0 else tmp_path / "elsewhere"
        return checkpoint_to_resume(place, "auto", ALONE | {"processes": 3}, world)

    assert together(3, decide) == [str(folder)] * 3


def test_no_rank_looks_before_the_last_one_has_saved(tmp_path):
    folder = checkpoint(tmp_path, 20, processes=2)

    def save(world):
        if world.rank == 0:
            partial = folder / "ledger.json.partial"
            partial.write_text("{}")
            time.sleep(0.2)
            partial.replace(folder / "ledger.json")
        seal(folder, ALONE | {"processes": 2}, world)

    assert together(2, save) == [None, None]
    assert what_is_wrong(folder) is None


def test_all_ranks_refuse_what_the_first_one_refuses(tmp_path):
    checkpoint(tmp_path, 20)
    launch = ALONE | {"processes": 2}
    refused = together(2, lambda world: checkpoint_to_resume(tmp_path, "auto", launch, world))
    assert all(str(error).startswith(f"{tmp_path}/checkpoint-20: saved by") for error in refused)


def test_machines_that_do_not_share_the_output_dir_stop_at_the_first_save(tmp_path):
    for name, file in (("a", "rng_state_0.pth"), ("b", "rng_state_1.pth")):
        (tmp_path / name / "checkpoint-2").mkdir(parents=True)
        (tmp_path / name / "checkpoint-2" / file).write_text(file)
    places = [tmp_path / "a", tmp_path / "b"]
    launch = ALONE | {"processes": 2}
    said = together(2, lambda world: seal(places[world.rank] / "checkpoint-2", launch, world))
    assert "output_dir must lie on a file system that all machines share" in str(said)
    assert not list(tmp_path.rglob("manifest.json"))


def test_no_manifest_is_written_for_what_no_training_could_go_on_from(tmp_path):
    folder = tmp_path / "checkpoint-2"
    folder.mkdir()
    (folder / "model.safetensors").write_text("weights")
    with pytest.raises(UserError, match="checkpoint-2: it has no optimizer state, so no training"):
        seal(folder, ALONE, SINGLE)
    assert not (folder / "manifest.json").exists()


class At(TrainerCallback):
    """Calls a function at the end of each step, or at each save."""

    def __init__(self, step_end=lambda step: None, save=lambda step: None):
        self.step_end, self.save = step_end, save

    def on_step_end(self, args, state, control, **kwargs):
        self.step_end(state.global_step)

    def on_save(self, args, state, control, **kwargs):
        self.save(state.global_step)


def trainer_of(folder, *callbacks, **settings):
    """A trainer of transformers that saves the shipped model at every one of three steps."""
    chosen = {"max_steps": 3, "save_steps": 1, "save_total_limit": 2, **settings}
    arguments = TrainingArguments(
        str(folder), **chosen, use_cpu=True, report_to="none", disable_tqdm=True
    )
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS / "base")
    rows = [{"input_ids": [1, 2, 3, n], "labels": [1, 2, 3, n]} for n in range(4, 12)]
    trainer = Trainer(model, arguments, train_dataset=rows)
    ledger = Ledger(folder, SINGLE)
    ledger.size = type("Size", (), {"multiplied": 1, "trained": 1})
    for callback in (ledger, *callbacks):
        trainer.add_callback(callback)
    attach(trainer, folder, SINGLE, ALONE)
    return trainer


def test_every_save_is_whole_and_an_old_one_goes_only_after_that(tmp_path):
    seen = []
    look = At(save=lambda step: seen.append((step, list(complete_checkpoints(tmp_path)))))
    trainer_of(tmp_path, look, save_total_limit=1).train()
    # At 2 and 3 the new one has no manifest yet, so the one before must still be there.
    assert seen == [(1, []), (2, [1]), (3, [2])]
    assert list(complete_checkpoints(tmp_path)) == list(found(tmp_path)) == [3]
    manifest = read_json(tmp_path / "checkpoint-3" / "manifest.json")
    assert {key: manifest[key] for key in ALONE} == ALONE
    names = {entry["path"] for entry in manifest["files"]}
    assert {"model.safetensors", "optimizer.pt", "rng_state.pth", "ledger.json"} <= names


@pytest.mark.parametrize("most", [500_000, 2_000_000])  # less than the weights; than the optimizer
def test_a_save_that_the_system_refuses_is_one_sentence(tmp_path, most):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(step):
        if step == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))

    try:
        with pytest.raises(
            UserError, match=r"checkpoint-2: could not be written \((File too|torc)"
        ):
            trainer_of(tmp_path, At(step_end=limit)).train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(complete_checkpoints(tmp_path)) == [1]
    assert checkpoint_to_resume(tmp_path, "auto", ALONE, SINGLE) == str(tmp_path / "checkpoint-1")


@pytest.fixture
def small_disk(tmp_path):
    """A disk on which one checkpoint of the shipped model has room, and how to enlarge it."""
    place = tmp_path / "disk"
    place.mkdir()
    whole = sum(path.stat().st_size for path in (WEIGHTS / "base").glob("*.safetensors")) * 3
    words = ["mount", "-t", "tmpfs", "-o", f"size={int(whole * 1.6)}", "tmpfs", str(place)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    enlarge = ["mount", "-o", "remount,size=1g", str(place)]
    yield place, lambda: subprocess.run(enlarge, check=True)
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_room(small_disk, tmp_path):
    place, enlarge = small_disk
    with pytest.raises(UserError, match=r"checkpoint-2: could not be written \(No space left on d"):
        trainer_of(place).train()
    assert list(complete_checkpoints(place)) == [1]
    enlarge()
    start = checkpoint_to_resume(place, "auto", ALONE, SINGLE)
    forget_after(place, 1)
    trainer_of(place).train(resume_from_checkpoint=start)
    trainer_of(tmp_path / "whole").train()
    weights = [f / "checkpoint-3/model.safetensors" for f in (place, tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_what_is_no_matter_of_writing_keeps_its_traceback(tmp_path):
    def fail(step):
        raise RuntimeError("a bug")

    trainer = trainer_of(tmp_path)
    trainer.save_model = lambda *_, **__: fail(1)
    with pytest.raises(RuntimeError, match="a bug"):
        trainer.train()


def test_signals_before_training_end_it_at_once_and_later_ones_at_a_step(tmp_path, monkeypatch):
    handlers = []
    monkeypatch.setattr("handan.training.saving.on_signal", handlers.append)
    stop = StopRequest("arm", SINGLE)
    assert handlers == []  # whoever listens to signals until then leaves at once
    begun = []
    # Asked once before, and again while the checkpoint is being written.
    ask = At(
        step_end=lambda step: begun.append(len(handlers)) or (step == 2 and stop.ask()),
        save=lambda step: stop.ask(),
    )
    trainer = trainer_of(tmp_path, ask, max_steps=9, save_steps=100)
    trainer.add_callback(stop)
    trainer.train()
    assert begun == [1, 1] and list(complete_checkpoints(tmp_path)) == [2]
    with pytest.raises(SystemExit):
        stop.leave_if_asked(2)


BATCH = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "num_generations": 4}
SHARED = {**BATCH, "steps_per_generation": 4}  # completions of two steps


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (SFTConfig, {"save_only_model": True}, "save_only_model: leave it out; no run could go on"),
        (SFTConfig, {"ignore_data_skip": True}, "ignore_data_skip: leave it out; a run that goes"),
        (SFTConfig, {"save_on_each_node": True}, "save_on_each_node: leave it out; output_dir is"),
        (SFTConfig, {"enable_jit_checkpoint": True}, "enable_jit_checkpoint: leave it out"),
        (
            SFTConfig,
            {"load_best_model_at_end": True, "save_strategy": "epoch", "eval_strategy": "epoch"},
            "load_best_model_at_end: leave it out; the model of a run is the one at max_steps",
        ),
        (SFTConfig, {"save_strategy": "best", "metric_for_best_model": "x"}, "which no recipe"),
        (GRPOConfig, {**SHARED, "save_steps": 3}, "save_steps is 3, but completions serve 2 steps"),
        (GRPOConfig, {**SHARED, "save_steps": 0.3}, "save_steps is 3, but completions serve 2"),
        (GRPOConfig, {**SHARED, "save_strategy": "epoch"}, "'epoch', but completions serve 2 st"),
        (GRPOConfig, {**BATCH, "num_iterations": 3, "save_steps": 4}, "is 4, .* serve 3 steps"),
    ],
)
def test_what_no_run_could_go_on_from_is_refused(tmp_path, kind, settings, message):
    config = kind(str(tmp_path), max_steps=10, use_cpu=True, report_to="none", **settings)
    with pytest.raises(UserError, match=message):
        check_saving("auto", config)


def test_resume_knows_three_words(tmp_path):
    config = SFTConfig(
        str(tmp_path), use_cpu=True, report_to="none", save_strategy="no", max_steps=1
    )
    for word in ("auto", "never", "must"):
        check_saving(word, config)
    with pytest.raises(UserError, match="resume is 'yes'; set it to auto, never or must"):
        check_saving("yes", config)
    for settings in ({"save_steps": 4}, {"save_steps": 0.4}, {"save_strategy": "no"}):
        more = {**SHARED, "max_steps": 10, **settings}
        check_saving("auto", GRPOConfig(str(tmp_path), use_cpu=True, report_to="none", **more))


def test_half_a_model_of_a_training_is_refused(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(WEIGHTS / "base", run)
    whole = fingerprint_of(str(run))
    write_json(run / "run.json", {"arm": "sft", "training": {"steps": 4}})
    with pytest.raises(UserError, match="run: its training is not finished; finish it first"):
        fingerprint_of(str(run))
    write_json(run / "run.json", {"arm": "sft", "training": {"finished": True}})
    assert fingerprint_of(str(run)) == whole
    shutil.copytree(WEIGHTS / "base", run / "checkpoint-2")
    with pytest.raises(UserError, match=r"checkpoint-2: incomplete: no manifest\.json"):
        fingerprint_of(str(run / "checkpoint-2"))
    checkpoint(run, 2)
    assert fingerprint_of(str(run / "checkpoint-2")) == whole
    flip(run / "checkpoint-2" / "model.safetensors")
    with pytest.raises(UserError, match=r"model.safetensors holds other bytes .*; give another"):
        fingerprint_of(str(run / "checkpoint-2"))


def test_a_checkpoint_of_another_tool_is_a_model_like_any_other(tmp_path):
    shutil.copytree(WEIGHTS / "base", tmp_path / "checkpoint-2")
    assert fingerprint_of(str(tmp_path / "checkpoint-2")) == fingerprint_of(str(WEIGHTS / "base"))


def test_a_manifest_lists_what_lies_in_folders_too(tmp_path):
    folder = checkpoint(tmp_path, 4, **ZERO2)
    listed = [
        entry["path"] for entry in json.loads((folder / "manifest.json").read_text())["files"]
    ]
    assert "global_step4/zero_pp_rank_0_mp_rank_00_optim_states.pt" in listed
    assert all((folder / path).is_file() for path in listed) and len(listed) == 6
    Path(folder / "global_step4/zero_pp_rank_0_mp_rank_00_optim_states.pt").unlink()
    assert "optim_states.pt is missing" in what_is_wrong(folder)
