"""Batched generation with vLLM in this process: the fast engine on GPUs.

Token ids go in and come out. Every request has a seed of its own; still, what shares a batch with
it changes the last bits of its logits. Several processes each hold the whole model.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from handan.errors import UserError
from handan.files import shipped
from handan.generation import loading
from handan.generation.chat import FAILED, class_of, ended
from handan.generation.engines import Completion, Drawn, EngineSettings
from handan.generation.formats import ReasoningFormat, choose_for
from handan.generation.prompting import Decoding, Request


@dataclass(frozen=True)
class Settings(EngineSettings):
    """Keys of ``eval/engines/vllm.yaml``."""

    dtype: str = "auto"  # as the weights, but bfloat16 of float32
    tensor_parallel_size: int = 1  # GPUs that share one copy of the model
    gpu_memory_utilization: float = 0.9  # share of a GPU's memory that vLLM takes
    # Longest prompt and response together, at most what the model was made for; null: that. vLLM
    # does not start unless the cache of one such response fits beside the weights.
    max_model_len: int | None = None


class VLLMEngine:
    """vLLM's ``LLM``, as an engine."""

    address: str | None = None
    independent, remote = True, False

    def __init__(
        self,
        llm: Any,
        settings: Settings,
        tokenizer: Any,
        form: ReasoningFormat,
        ends: Sequence[int],
        fingerprint: str,
    ) -> None:
        import vllm

        self.llm, self.tokenizer, self.form = llm, tokenizer, form
        self.ends, self.fingerprint = list(ends), fingerprint
        self.identity: dict[str, Any] = {
            "engine": "vllm",
            "vllm": vllm.__version__,  # the name of the distribution may be another
            "dtype": str(llm.model_config.dtype).removeprefix("torch."),
            "tensor_parallel_size": settings.tensor_parallel_size,
            "max_model_len": settings.max_model_len,
        }

    def stream(self, batches: Iterable[Sequence[Request]], seed: int) -> Iterator[list[Drawn]]:
        from vllm import SamplingParams

        requests, engine = list(chain.from_iterable(batches)), self.llm.llm_engine
        for number, request in enumerate(requests):
            params = SamplingParams(**sampling(request.decoding, request.seed(seed), self.ends))
            prompt = {"prompt_token_ids": list(request.prompt_ids)}
            with one_sentence("vLLM stops"):
                engine.add_request(str(number), prompt, params)
        while engine.has_unfinished_requests():
            with one_sentence("vLLM stops"):
                finished = [output for output in engine.step() if output.finished]
            rows = [(requests[int(output.request_id)], output.outputs[0]) for output in finished]
            if rows:
                yield [(of, completion_of(row.token_ids, row.finish_reason)) for of, row in rows]


def completion_of(ids: Sequence[int], word: str | None) -> Completion | UserError:
    """A response of vLLM, or what its finish reason says went wrong."""
    if class_of(word) == FAILED:
        return UserError(f"vLLM gave no response (finish reason '{word}')")
    return Completion(list(ids), ended=ended(word))


def sampling(decoding: Decoding, seed: int, ends: Sequence[int]) -> dict[str, Any]:
    """Arguments of ``SamplingParams``; whatever else could change a response is switched off."""
    out: dict[str, Any] = {"n": 1, "seed": seed, "stop_token_ids": list(ends)}
    out |= {"temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0, "min_p": 0.0}
    out |= {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    out |= {"max_tokens": decoding.max_new_tokens, "min_tokens": 0}
    return {**out, "skip_special_tokens": False, "detokenize": False}


def visible_devices(visible: str | None, count: int, rank: int, group: int) -> str:
    """The ``group`` GPUs of the process of a rank on this machine, for ``CUDA_VISIBLE_DEVICES``."""
    names = visible.split(",") if visible else [str(number) for number in range(count)]
    mine = names[rank * group : (rank + 1) * group]
    if len(mine) < group:
        raise UserError(
            f"process {rank} of this machine needs {group} GPUs of its own and {len(names)} are "
            "there for all; start fewer processes or lower tensor_parallel_size"
        )
    return ",".join(mine)


def context_of(text_config: Any, wanted: int | None) -> int | None:
    """``wanted`` tokens of context, at most those the model was made for."""
    made_for = getattr(text_config, "max_position_embeddings", None)
    return wanted if wanted is None or made_for is None else min(wanted, made_for)


@contextmanager
def one_sentence(what: str) -> Iterator[None]:
    """Say in one line what keeps vLLM, which asks the machine late, from going on."""
    try:
        yield
    except Exception as error:  # of any kind
        lines = [line.strip() for line in str(error).splitlines()] or [type(error).__name__]
        # pydantic puts a line before what was said, and the arguments after it.
        said = next((line for line in lines if line.startswith("Value error, ")), lines[0])
        reason = said.removeprefix("Value error, ").split(" [type=")[0]
        raise UserError(f"{what}: {reason}") from error


def open_engine(
    settings: Settings, model_name: str, revision: str | None, form: str, device: Any
) -> VLLMEngine:
    """Load a model into vLLM; ``form`` is the name of its format, or ``auto``."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        # Its core in this process too: what shares a batch is then the same each time, and what
        # keeps it from starting is raised here. Several processes have a group of their own.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    try:
        from vllm import LLM
    except ImportError:
        raise UserError(
            "engine vllm needs a package: pip install 'handan[vllm]' on a machine with GPUs, make "
            "setup-vllm on one without, or take eval/engines/transformers.yaml"
        ) from None
    if (Path(model_name) / "adapter_config.json").exists():
        raise UserError(
            f"{model_name}: an adapter, which vLLM takes only merged into its base; merge it, "
            "or take eval/engines/transformers.yaml"
        )
    import torch

    trusted, group = settings.trust_remote_code, settings.tensor_parallel_size
    tokenizer = loading.load_tokenizer(model_name, revision, trusted)
    # Before vLLM is asked: a directory of pickles has none.
    fingerprint = loading.fingerprint_of(model_name, revision, trusted)
    chosen = choose_for(model_name, form, tokenizer)
    ends = loading.ends_of(model_name, revision, tokenizer)
    text_config = loading.load_config(model_name, revision, trusted).get_text_config()
    # vLLM's workers take the first GPUs they see, whichever the launcher gave this process; its
    # build for CPUs sees none.
    if count := torch.cuda.device_count():
        rank = int(os.environ.get("LOCAL_RANK", "0"))
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible_devices(visible, count, rank, group)
    with one_sentence(f"{model_name}: vLLM does not start"):
        llm = LLM(
            model=shipped(model_name),
            tokenizer=shipped(model_name),
            revision=revision,
            tokenizer_revision=revision,
            dtype=settings.dtype,
            tensor_parallel_size=group,
            gpu_memory_utilization=settings.gpu_memory_utilization,
            max_model_len=context_of(text_config, settings.max_model_len),
            load_format="safetensors",
            **loading.trust_options(trusted),
            generation_config="vllm",  # nothing of the file saved with the model
            seed=0,
        )
    engine = VLLMEngine(llm, settings, tokenizer, chosen, ends, fingerprint)
    computed, own = engine.identity["dtype"], str(text_config.dtype).removeprefix("torch.")
    if own not in (computed, "None"):
        print(
            f"note: the weights of {model_name} are {own} and vLLM computes in {computed}, which "
            f"makes other responses; set dtype: {own} in the YAML of the engine to compare engines"
        )
    return engine
