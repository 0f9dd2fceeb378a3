"""Checkpoints as a training leaves them, with little in them."""

from pathlib import Path

from handan import checkpoints
from handan.files import write_json
from handan.launch import SINGLE

ALONE = {"processes": 1, "nodes": 1, "engine": "NO", "mixed_precision": "no"}


def checkpoint(run_dir: Path, step: int, **launched: object) -> Path:
    """``checkpoint-STEP``, with whatever it holds already, the state of a training, a manifest."""
    folder = run_dir / f"checkpoint-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    launch = {**ALONE, **launched}
    names = ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"]
    if launch["engine"] == "DEEPSPEED":
        (folder / f"global_step{step}").mkdir()
        names[1:3] = [f"global_step{step}/zero_pp_rank_0_mp_rank_00_optim_states.pt"]
    if launch["processes"] > 1:
        names[-1:] = [f"rng_state_{rank}.pth" for rank in range(launch["processes"])]
    for name in names:
        if not (folder / name).exists():
            (folder / name).write_bytes(f"{name} of step {step}".encode() * 9)
    write_json(folder / "trainer_state.json", {"global_step": step})
    if not (folder / "ledger.json").exists():
        write_json(folder / "ledger.json", {"trained_tokens": step})
    checkpoints.seal(folder, launch, SINGLE)
    return folder


def complete_checkpoints(run_dir):
    """Checkpoints of a run that are whole, as far as can be told without reading their files."""
    found = checkpoints.found(run_dir)
    return {s: path for s, path in found.items() if not checkpoints.what_is_wrong(path, "none")}
