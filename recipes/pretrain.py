"""Pretrain the embedded world's models from scratch: plain next-token prediction on worked traces.

    python recipes/pretrain.py --config recipes/configs/pretraining/base.yaml --output_dir DIR

A rebuild with the same versions and one thread gives the same bytes on the CPU, not on a GPU.
"""

import argparse
import dataclasses
import math
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from handan import rundir
from handan.checkpoints import files_to_disk
from handan.config import load_yaml
from handan.errors import UserError, run_main
from handan.evaluation.resource_estimate import size_of
from handan.tasks.worked_solutions import DIALECTS, TraceStyle, check_style, trace_words
from handan.tiny.evaluation_items import held_out, identity_hash
from handan.tiny.families import DECIMAL_DIGITS, GAP, NAMES, PREMISES, random_problem


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """One pretraining run; sizes of problems are as in ``random_problem``."""

    families: dict[str, float]  # share of each family in the corpus, by name
    widths: list[int]
    style: TraceStyle
    architecture: str
    hidden_size: int
    num_layers: int
    num_heads: int
    num_steps: int
    tokens_per_step: int  # padded tokens in a batch, at most
    muon_lr: float  # for the matrices inside the layers
    adamw_lr: float  # for embeddings, head and norms
    seed: int  # of weights, corpus and order
    decimal_digits: list[int] = dataclasses.field(default_factory=lambda: list(DECIMAL_DIGITS))
    premises: list[int] = dataclasses.field(default_factory=lambda: list(PREMISES))
    device: str = "cpu"  # auto is a GPU if there is one


# As special tokens `<think>` and `</think>` would vanish from the text of rewards and traces.
SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>"]
WORDS = ["<think>", "</think>", *"0123456789", *NAMES, *"+-=;,?>", GAP, "carry", "borrow", "sum"]
ARCHITECTURES: dict[str, tuple[Any, Any]] = {
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
}


def make_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """A word-level tokenizer whose chat template opens the thinking span, as R1's does."""
    kinds = [kind for dialect in DIALECTS.values() for kind in dialect.values()]
    spoken = [word for kind in kinds for phrase in kind for word in phrase.split()]
    known = dict.fromkeys([*SPECIAL, *WORDS, *spoken, "ok", "no", "again", "wait"])
    vocabulary = {word: index for index, word in enumerate(known)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    marks = {f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos", "unk")}
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, padding_side="left", clean_up_tokenization_spaces=False, **marks
    )
    fast.chat_template = (
        "{{ bos_token }}{% for message in messages %} {{ message['content'] }}"
        "{% endfor %}{% if add_generation_prompt %} <think>{% endif %}"
    )
    return fast


def make_model(
    architecture: str, hidden_size: int, num_layers: int, num_heads: int, seed: int
) -> Any:
    """A randomly initialised model, qwen3 or llama, that knows the embedded world's vocabulary."""
    if architecture not in ARCHITECTURES:
        raise UserError(f"architecture is '{architecture}'; use one of {', '.join(ARCHITECTURES)}")
    make_config, kind = ARCHITECTURES[architecture]
    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    config = make_config(
        vocab_size=len(tokenizer), max_position_embeddings=1024, tie_word_embeddings=False,
        hidden_size=hidden_size, intermediate_size=8 * hidden_size // 3,
        num_hidden_layers=num_layers, head_dim=hidden_size // num_heads,
        num_attention_heads=num_heads, num_key_value_heads=num_heads,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return kind(config)


STAGE = "pretraining"  # in run.json and config.yaml
DEVICES = ("cpu", "cuda", "auto")


def corpus(
    settings: Pretraining, vocabulary: dict[str, int], refused: Counter[str] | None = None
) -> Iterator[tuple[list[int], int]]:
    """Draw endless sequences, each with its prompt's length; ``refused`` counts held-out draws."""
    refused = Counter() if refused is None else refused
    rng = random.Random(settings.seed)
    names, shares = zip(*settings.families.items(), strict=True)
    sizes = (settings.widths, settings.decimal_digits, settings.premises)
    while True:
        problem = random_problem(rng.choices(names, shares)[0], rng, *sizes)
        if identity_hash(problem.family, problem.key) in held_out():
            refused[problem.family] += 1
            continue
        thought = trace_words(problem.steps(settings.style.format, rng), settings.style, rng)
        prompt = ["<bos>", *problem.prompt, "<think>"]
        words = [*prompt, *thought, "</think>", *problem.answer, "<eos>"]
        yield [vocabulary[word] for word in words], len(prompt)


def batches(
    settings: Pretraining, vocabulary: dict[str, int], pad: int, refused: Counter[str]
) -> Iterator[torch.Tensor]:
    """Padded batches of similar lengths, shape (2, sequences, tokens): inputs and labels."""
    stream = corpus(settings, vocabulary, refused)
    order = random.Random(settings.seed + 1)
    while True:
        chunk = sorted((next(stream) for _ in range(4096)), key=lambda row: len(row[0]))
        groups: list[list[tuple[list[int], int]]] = [[]]
        for row in chunk:
            if len(row[0]) * (len(groups[-1]) + 1) > settings.tokens_per_step:
                groups.append([])
            groups[-1].append(row)
        order.shuffle(groups)
        for group in groups:
            longest = max(len(ids) for ids, _ in group)
            batch = torch.full((2, len(group), longest), pad)
            batch[1] = -100
            for index, (ids, prompt_length) in enumerate(group):
                batch[0, index, : len(ids)] = torch.tensor(ids)
                batch[1, index, prompt_length : len(ids)] = torch.tensor(ids[prompt_length:])
            yield batch


def device_of(settings: Pretraining) -> str:
    """The device to train on."""
    if settings.device not in DEVICES:
        raise UserError(f"device is '{settings.device}'; use {', '.join(DEVICES)}")
    has_gpu = torch.cuda.is_available()
    if settings.device == "cuda" and not has_gpu:
        raise UserError("device is 'cuda', but torch finds no GPU; use cpu or auto")
    return "cuda" if has_gpu and settings.device != "cpu" else "cpu"


def pretrain(settings: Pretraining, output_dir: Path) -> None:
    """Train, and save model and tokenizer; again only if it was not finished, then from anew."""
    check_style(settings.style, "style")
    device = device_of(settings)
    config = dataclasses.asdict(settings)
    with rundir.lock(output_dir, rank=0):
        rundir.check_config(output_dir, STAGE, config)
        if rundir.read_run(output_dir).get(STAGE, {}).get("finished"):
            print(f"{output_dir}: finished already", flush=True)
            return
        rundir.record(output_dir, STAGE, config)
        facts = _train(settings, output_dir, device)
        files_to_disk(output_dir)
        rundir.add(output_dir, STAGE, **facts, finished=True)


def _train(settings: Pretraining, output_dir: Path, device: str) -> dict:
    """Train, and return what it took, for ``run.json``."""
    if device == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32; weights and their updates stay float32
    tokenizer = make_tokenizer()
    shape = (settings.hidden_size, settings.num_layers, settings.num_heads)
    model = make_model(settings.architecture, *shape, settings.seed).to(device)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers." in n]
    inside = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in inside]
    optimizers = [
        torch.optim.Muon(matrices, lr=settings.muon_lr, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(others, lr=settings.adamw_lr, weight_decay=0.01, betas=(0.9, 0.98)),
    ]

    def factor(step: int) -> float:
        """Fifty steps of warm-up, then a cosine to a twentieth."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / settings.num_steps))
        return min(1.0, (step + 1) / 50) * (0.05 + 0.95 * cosine)

    schedules = [torch.optim.lr_scheduler.LambdaLR(o, factor) for o in optimizers]
    started, smooth, pad = time.monotonic(), math.nan, tokenizer.pad_token_id
    sequences = tokens = processed = 0
    refused: Counter[str] = Counter()
    stream = batches(settings, tokenizer.get_vocab(), pad, refused)
    model.train()
    for step in range(1, settings.num_steps + 1):
        input_ids, labels = next(stream).to(device)
        # Padding is on the right, so causal attention never sees it and no mask is needed.
        logits = model(input_ids=input_ids, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
        sequences += len(input_ids)
        tokens += int((labels != -100).sum())
        processed += int((input_ids != pad).sum())
        smooth = loss.item() if step == 1 else 0.98 * smooth + 0.02 * loss.item()
        if step % 200 == 0 or step == settings.num_steps:
            progress = f"step {step}/{settings.num_steps}  loss {smooth:.3f}"
            trained = f"{tokens / 1e6:.2f} M trained tokens  {time.monotonic() - started:.0f} s"
            print(f"{progress}  {trained}", flush=True)
    model.save_pretrained(output_dir)
    tokenizer.save_pretrained(output_dir)
    size = size_of(model)
    return {
        "config": dataclasses.asdict(settings), "device": device, "steps": settings.num_steps,
        "parameters": size._asdict(), "sequences": sequences,
        # Refused while whole chunks were filled, of which the last one may not be used up.
        "held_out_refused": refused.total(),
        "held_out_refused_by_family": dict(sorted(refused.items())),
        "evaluation_items": len(held_out()),
        "budget": {
            "trained_tokens": tokens, "processed_tokens": processed,
            "train_seconds": round(time.monotonic() - started, 3),
            # As the ledger of a training: 6 N a token.
            "model_flops": float(processed * (4 * size.multiplied + 2 * size.trained)),
            "peak_memory_gib": rundir.peak_memory_gib(),
        },
    }  # fmt: skip


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--num_steps", type=int, help="shorten the schedule")
    parser.add_argument("--tokens_per_step", type=int, help="of a smaller machine")
    parser.add_argument("--device", choices=DEVICES, help="default: the YAML's, else cpu")
    arguments = parser.parse_args()
    given = {name: getattr(arguments, name) for name in ("num_steps", "tokens_per_step", "device")}
    settings = load_yaml(arguments.config, Pretraining)
    settings = dataclasses.replace(settings, **{k: v for k, v in given.items() if v})
    torch.set_num_threads(1)
    pretrain(settings, arguments.output_dir)


if __name__ == "__main__":
    run_main(main)
