"""Loading models and tokenizers of a directory or the hub: trust, fingerprints, end tokens.

Weights come as safetensors: a pickle can run any code when it is loaded. Code that a model brings
along runs only at a commit that a YAML names: a branch, a tag and a directory can change.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from handan.checkpoints import check_model
from handan.config import line_keys
from handan.errors import UserError
from handan.files import content_hash, file_hash, read_json, shipped

COMMIT = re.compile(r"[0-9a-f]{40}")
TRUST_CURE = (
    "read that code, and if you trust it set trust_remote_code in the YAML: of an engine to the "
    "commit of the code, of a recipe to true beside a model_revision that is a commit"
)
MODEL_KEYS = {"model_name_or_path", "model_revision"}
MODEL_KEYS |= {f"teacher_{key}" for key in MODEL_KEYS}
PICKLED = re.compile(r"(pytorch_model|adapter_model|model|consolidated).*\.(bin|pt|pth|ckpt)")
CONVERT = (
    "convert them where nothing can be lost: load them with torch.load(FILE, weights_only=True) "
    "and write them with safetensors.torch.save_file(WEIGHTS, 'model.safetensors')"
)


def trust_options(trusted: str | None) -> dict[str, Any]:
    """Arguments of ``from_pretrained``: run no code, or that of one commit."""
    if trusted is None:
        return {"trust_remote_code": False}
    return {"trust_remote_code": True, "code_revision": trusted}


def check_trust(model_name: str, revision: str | None, trusted: str | None) -> None:
    """Stop unless the code that is trusted can be no other tomorrow: it is at a commit."""
    if trusted is None:
        return
    if not COMMIT.fullmatch(trusted):
        cure = "give a commit, 40 hexadecimal digits: a branch or a tag can move"
        raise UserError(f"trust_remote_code is '{trusted}'; {cure}")
    folder = Path(model_name)
    if not folder.is_dir() and revision != trusted:
        raise UserError(
            f"{model_name}: trust_remote_code names commit {trusted} and its revision is "
            f"{revision or 'main'}; let both agree"
        )
    for name in ("config.json", "tokenizer_config.json"):
        for entry in read_json(folder / name, {}).get("auto_map", {}).values():
            for code in entry if isinstance(entry, list) else [entry]:
                if code and "--" not in code:
                    raise UserError(
                        f"{folder / name}: names code of the directory itself ({code}), which is "
                        "never run; name the repository of the code in auto_map, as "
                        "owner/name--module.Class"
                    )


def trusted_by_recipe(config: Any, model_config: Any) -> tuple[str | None, str | None]:
    """The commits whose code a recipe's YAML trusts, of its model and of its teacher."""
    if not config.trust_remote_code:
        return None, None
    if elsewhere := sorted(line_keys() & MODEL_KEYS):
        raise UserError(
            f"--{elsewhere[0]}: the YAML trusts the code of the model that it names itself; name "
            "this one there, or set trust_remote_code to false"
        )
    revision = model_config.model_revision
    teacher = getattr(config, "teacher_model_revision", None)
    if not COMMIT.fullmatch(revision or ""):
        raise UserError(
            "trust_remote_code is true: set 'model_revision' to a commit, 40 hexadecimal digits; "
            "a branch or a tag can move"
        )
    return revision, teacher if COMMIT.fullmatch(teacher or "") else None


def _refuse_kernel(implementation: Any, place: str) -> None:
    """Refuse an attention that is a kernel of the hub, which is code too."""
    names = implementation.values() if isinstance(implementation, dict) else [implementation]
    for name in names:
        if isinstance(name, str) and "/" in name:
            raise UserError(
                f"{place}: attn_implementation is '{name}', code of a hub repository; use sdpa, "
                "eager or an installed package such as flash_attention_2"
            )


def refuse_pickle(folder: Path) -> None:
    """Refuse pickled weights, and say how to convert them."""
    for path in sorted(folder.iterdir()):
        if PICKLED.fullmatch(path.name):
            raise UserError(f"{path}: pickled weights can run code when they are loaded; {CONVERT}")


def load_tokenizer(name: str, revision: str | None = None, trusted: str | None = None) -> Any:
    """The tokenizer of a model."""
    from transformers import AutoTokenizer

    name = shipped(name)
    check_trust(name, revision, trusted)
    with _loading(name, "tokenizer"):
        return AutoTokenizer.from_pretrained(name, revision=revision, **trust_options(trusted))


def load_config(name: str, revision: str | None = None, trusted: str | None = None) -> Any:
    """The configuration of a model."""
    from transformers import AutoConfig

    name = shipped(name)
    check_trust(name, revision, trusted)
    with _loading(name, "model"):
        config = AutoConfig.from_pretrained(name, revision=revision, **trust_options(trusted))
    _refuse_kernel(config._attn_implementation, name)
    return config


@contextlib.contextmanager
def _loading(name: str, what: str) -> Iterator[None]:
    """Say in one line what loading failed with, and what to do about code or pickles."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        text = str(error).strip()
        why = text.splitlines()[0] if text else type(error).__name__
        if "trust_remote_code" in text or "custom code" in text:
            why = f"it needs code that its repository brings along, which is not run; {TRUST_CURE}"
        elif "safetensors" in why:
            why = f"{why}; {CONVERT}"
    except RuntimeError as error:
        if "mismatched_sizes" not in str(error):
            raise
        why = "weights of other sizes than config.json says; take both files of one model"
    else:
        return
    raise UserError(f"{name}: cannot be loaded as a {what} ({why})")


def model_fingerprint(model_dir: str | Path) -> str:
    """Hash of the files that decide what a local model says."""
    folder = Path(model_dir)
    tensors = sorted(folder.glob("*.safetensors"))
    if not tensors:
        refuse_pickle(folder)
        raise UserError(f"{folder}: no *.safetensors file; give the directory of a saved model")
    named = ("config.json", "tokenizer.json", "chat_template.jinja")
    others = [folder / name for name in named if (folder / name).exists()]
    return content_hash({path.name: file_hash(path) for path in (*tensors, *others)})


def fingerprint_of(model_name: str, revision: str | None = None, trusted: str | None = None) -> str:
    """Hash of a model's files (directory) or of its revision (hub), without loading it."""
    local = Path(shipped(model_name))
    check_model(local)
    if (local / "adapter_config.json").exists():
        base, base_revision = adapter_base(local)
        weights = local / "adapter_model.safetensors"
        if not weights.exists():
            refuse_pickle(local)
            raise UserError(f"{weights}: no such file; give the directory of a saved adapter")
        return content_hash([fingerprint_of(base, base_revision, trusted), file_hash(weights)])
    if local.is_dir():
        files = model_fingerprint(local)
        return files if trusted is None else content_hash([files, trusted])
    if model_name.startswith((".", "/")) or model_name.count("/") != 1:
        raise UserError(f"{model_name}: no such model directory")
    from huggingface_hub import try_to_load_from_cache

    load_config(model_name, revision, trusted)
    # Loading has put it into the hub's cache, under the commit that the revision is now.
    path = try_to_load_from_cache(model_name, "config.json", revision=revision)
    if not isinstance(path, str):
        raise UserError(f"{model_name}: loaded, but not in the hub's cache; set HF_HUB_CACHE")
    return content_hash([model_name, Path(path).parent.name])


def load_model(
    model_name: str,
    revision: str | None = None,
    dtype: str = "auto",
    device: Any = "cpu",
    merge: bool = True,
    trusted: str | None = None,
    **options: Any,
) -> tuple[Any, Any, str]:
    """Load a model in evaluation mode and its tokenizer, and fingerprint them.

    A low-rank adapter comes with its base; ``merge`` puts it into the base, which changes the last
    bits. ``trusted`` is the commit of code that may run, ``options`` are of ``from_pretrained``.
    """
    from transformers import AutoModelForCausalLM

    fingerprint = fingerprint_of(model_name, revision, trusted)
    _refuse_kernel(options.get("attn_implementation"), model_name)
    adapter = Path(model_name) if (Path(model_name) / "adapter_config.json").exists() else None
    base, revision = adapter_base(adapter) if adapter else (model_name, revision)
    base = shipped(base)
    load_config(base, revision, trusted)
    # transformers passes over a damaged file, and responses would no longer end at its tokens.
    read_json(Path(base) / "generation_config.json", {})
    options |= {"use_safetensors": True, **trust_options(trusted)}
    with _loading(model_name, "model"):
        kind = AutoModelForCausalLM
        model = kind.from_pretrained(base, revision=revision, dtype=dtype, **options)
        if adapter:
            from peft import PeftModel

            # peft takes a pickle where there are no safetensors; fingerprint_of has made sure.
            model = PeftModel.from_pretrained(model, adapter)
            model = model.merge_and_unload() if merge else model
    return model.to(device).eval(), load_tokenizer(model_name, revision, trusted), fingerprint


def adapter_base(folder: Path) -> tuple[str, str | None]:
    """Name and revision of the model that a low-rank adapter belongs to."""
    path = folder / "adapter_config.json"
    settings = read_json(path)
    if not isinstance(settings, dict) or not settings.get("base_model_name_or_path"):
        raise UserError(f"{path}: no 'base_model_name_or_path'; name the model it was trained on")
    return settings["base_model_name_or_path"], settings.get("revision")


def eos_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every id that ends a sequence: the generation config's and the tokenizer's."""
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    if not (ends := sorted({i for i in (*ids, tokenizer.eos_token_id) if i is not None})):
        raise UserError(
            f"{tokenizer.name_or_path}: neither tokenizer nor generation config names a token that "
            "ends a sequence, so every response would be cut; set eos_token"
        )
    return ends


def ends_of(model_name: str, revision: str | None, tokenizer: Any) -> list[int]:
    """The ids of ``eos_ids``, for a model that is loaded elsewhere."""
    from transformers import GenerationConfig

    model_name = shipped(model_name)
    read_json(Path(model_name) / "generation_config.json", {})  # must not be damaged
    try:
        saved = GenerationConfig.from_pretrained(model_name, revision=revision)
    except OSError:  # many base models have no such file
        saved = GenerationConfig()
    return eos_ids(SimpleNamespace(generation_config=saved), tokenizer)
