"""Drawing responses from a model in training, whatever engine holds its weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch.distributed.fsdp import FSDPModule
from trl.models import unwrap_model_for_generation

from handan.engines.loading import eos_ids
from handan.engines.transformers import complete
from handan.generate import Decoding
from handan.sampling import response_seed


@contextmanager
def generating(trainer: Any) -> Iterator[Any]:
    """The trained model with all of its weights on this process, so that it can generate alone.

    Responses end at different tokens on different processes. Weights that are gathered layer by
    layer, as ZeRO-3 and FSDP2 do in training, would make each of them wait for the others.
    """
    with unwrap_model_for_generation(
        trainer.model_wrapped,
        trainer.accelerator,
        gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
    ) as model:
        parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
        for part in parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        try:
            yield model
        finally:
            for part in parts:
                # Of a module's own setting nothing can be read; the launch config's holds for all.
                kept = trainer.accelerator.state.fsdp_plugin.reshard_after_forward
                part.set_reshard_after_forward(kept, recurse=False)
                part.reshard()


def draw(trainer: Any, prompt_ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """One completion of each prompt, by the same staged generation as everywhere else.

    A completion is drawn with a seed made of the run's seed, the step, its place in the batch of
    all processes and the prompt. So it is the same on any number of processes, and after a resume.

    Args:
        trainer: one of TRL's that generates.
        prompt_ids: this process's share; shares lie in order of rank, and are of equal size.
    """
    arguments = trainer.args
    decoding = Decoding(arguments.temperature, arguments.top_p, arguments.max_completion_length)
    first = trainer.accelerator.process_index * len(prompt_ids)
    seeds = [
        response_seed(arguments.seed, trainer.state.global_step, first + index, list(ids))
        for index, ids in enumerate(prompt_ids)
    ]
    with generating(trainer) as model:
        ends = eos_ids(model, trainer.processing_class)
        return complete(model, prompt_ids, decoding, ends, seeds)
