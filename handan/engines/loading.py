"""Models and tokenizers of a directory or the hub, their fingerprints, what ends a sequence."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from handan import weights
from handan.engines import trust
from handan.errors import UserError
from handan.records import content_hash, file_hash, read_json
from handan.training.checkpoints import check_model


def load_tokenizer(name: str, revision: str | None = None, trusted: str | None = None) -> Any:
    """The tokenizer of a local directory or of ``owner/name`` on the hub.

    Args:
        name: directory or hub repository.
        revision: of the hub repository.
        trusted: as in ``load_model``.

    Raises:
        UserError: there is none, or it needs code that is not trusted.
    """
    from transformers import AutoTokenizer

    trust.check(name, revision, trusted)
    try:
        return AutoTokenizer.from_pretrained(name, revision=revision, **trust.options(trusted))
    except (OSError, ValueError) as error:
        why = trust.told(error)
        raise UserError(f"{name}: cannot be loaded as a tokenizer ({why})") from None


def load_config(name: str, revision: str | None = None, trusted: str | None = None) -> Any:
    """The configuration of a model.

    Args:
        name: directory or hub repository.
        revision: of the hub repository.
        trusted: as in ``load_model``.

    Raises:
        UserError: there is none, or it asks for code that is not trusted.
    """
    from transformers import AutoConfig

    trust.check(name, revision, trusted)
    try:
        config = AutoConfig.from_pretrained(name, revision=revision, **trust.options(trusted))
    except (OSError, ValueError) as error:
        raise UserError(f"{name}: cannot be loaded as a model ({trust.told(error)})") from None
    trust.refuse_kernel(config._attn_implementation, name)
    return config


def fingerprint_of(model_name: str, revision: str | None = None, trusted: str | None = None) -> str:
    """Hash of the files of a model (local directory) or of its revision (hub), without loading it.

    Args:
        model_name: directory or hub repository.
        revision: of the hub repository.
        trusted: as in ``load_model``; of a directory, part of the hash.

    Raises:
        UserError: there is no such model, or it is half a model of a training here.
    """
    local = Path(model_name)
    check_model(local)
    if (local / "adapter_config.json").exists():
        base, base_revision = adapter_base(local)
        adapter = file_hash(weights.of_adapter(local))
        return content_hash([fingerprint_of(base, base_revision, trusted), adapter])
    if local.is_dir():
        files = weights.model_fingerprint(local)
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
    """Load a model and its tokenizer, and fingerprint them.

    A directory with a low-rank adapter, such as a checkpoint of a run with ``use_peft``, is loaded
    as its base with the adapter, merged unless ``merge`` is false.

    Args:
        model_name: a local directory or ``owner/name`` on the hub.
        revision: of the hub repository.
        dtype: of the weights.
        device: where to put the model; trainers put theirs where it belongs themselves.
        merge: whether an adapter is merged into its base, which changes the last bits.
        trusted: commit of the code that the model brings along and that may run; None: none may.
        options: more keyword arguments of ``from_pretrained``.

    Returns:
        The model in evaluation mode, its tokenizer, and the hash of its files (local directory) or
        of its revision (hub).

    Raises:
        UserError: there is no such model, or it has no safetensors, or needs code that is not
            trusted.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    fingerprint = fingerprint_of(model_name, revision, trusted)
    trust.refuse_kernel(options.get("attn_implementation"), model_name)
    adapter = Path(model_name) if (Path(model_name) / "adapter_config.json").exists() else None
    base, revision = adapter_base(adapter) if adapter else (model_name, revision)
    load_config(base, revision, trusted)
    check_saved_generation(base)
    options |= {"use_safetensors": True, **trust.options(trusted)}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base, revision=revision, dtype=dtype, **options
        )
        if adapter:
            from peft import PeftModel

            # peft takes a pickle where there are no safetensors; fingerprint_of has made sure.
            model = PeftModel.from_pretrained(model, adapter)
            model = model.merge_and_unload() if merge else model
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{model_name}: cannot be loaded as a model ({_why(error)})") from None
    except RuntimeError as error:
        if "mismatched_sizes" not in str(error):
            raise
        raise UserError(
            f"{model_name}: cannot be loaded as a model (weights of other sizes than config.json "
            "says); take both files of one model"
        ) from None
    return model.to(device).eval(), load_tokenizer(model_name, revision, trusted), fingerprint


def _why(error: Exception) -> str:
    """What loading weights failed with, and what to do about weights that only a pickle holds."""
    text = trust.told(error)
    return f"{text}; {weights.CONVERT}" if "safetensors" in text else text


def adapter_base(folder: Path) -> tuple[str, str | None]:
    """Name and revision of the model that a low-rank adapter belongs to."""
    path = folder / "adapter_config.json"
    settings = read_json(path)
    if not isinstance(settings, dict) or not settings.get("base_model_name_or_path"):
        raise UserError(f"{path}: no 'base_model_name_or_path'; name the model it was trained on")
    return settings["base_model_name_or_path"], settings.get("revision")


def check_saved_generation(model_name: str) -> None:
    """Stop at a damaged generation config of a directory.

    transformers passes over it, and responses would no longer end at the tokens it names.

    Raises:
        UserError: it is not JSON.
    """
    path = Path(model_name) / "generation_config.json"
    if path.exists():
        read_json(path)


def eos_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every id that ends a sequence: the generation config's and the tokenizer's.

    Raises:
        UserError: there is none.
    """
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    ends = sorted({i for i in (*ids, tokenizer.eos_token_id) if i is not None})
    if not ends:
        raise UserError(
            f"{tokenizer.name_or_path}: neither tokenizer nor generation config names a token that "
            "ends a sequence, so every response would be cut; set eos_token"
        )
    return ends


def ends_of(model_name: str, revision: str | None, tokenizer: Any) -> list[int]:
    """As ``eos_ids``, for a model that is loaded elsewhere."""
    from transformers import GenerationConfig

    check_saved_generation(model_name)
    try:
        saved = GenerationConfig.from_pretrained(model_name, revision=revision)
    except OSError:  # many base models have no such file
        saved = GenerationConfig()
    return eos_ids(SimpleNamespace(generation_config=saved), tokenizer)
