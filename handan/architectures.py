"""How large a model is: its weights and what it caches a token, without loading it."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from handan.errors import UserError

FILE = Path(__file__).with_name("architectures.yaml")
BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
CACHE_BYTES = 2  # keys and values are cached in 16 bits


@dataclass(frozen=True)
class Architecture:
    """Sizes of a decoder.

    Attributes:
        parameters: all of them.
        active_parameters: those that one token goes through.
        bytes_per_parameter: as stored.
        config: keys of config.json.
        cache_values: numbers cached for a token and layer, if not those of keys and values.
    """

    parameters: float
    active_parameters: float
    bytes_per_parameter: float
    config: dict[str, Any]
    cache_values: int | None = None

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights."""
        return self.parameters * self.bytes_per_parameter

    @property
    def heads(self) -> int:
        """Attention heads, which tensor parallelism must divide."""
        return int(self.config["num_attention_heads"])

    @property
    def layers(self) -> int:
        """Transformer layers."""
        return int(self.config["num_hidden_layers"])

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes cached for a token: 2 (key, value) x layers x key-value heads x head size x 2."""
        head_size = self.config.get("head_dim") or self.config["hidden_size"] // self.heads
        grouped = self.config.get("num_key_value_heads") or self.heads
        return self.layers * (self.cache_values or 2 * grouped * head_size) * CACHE_BYTES


@cache
def published() -> dict[str, Architecture]:
    """Architectures of ``architectures.yaml`` by hub id of each model."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    found: dict[str, Architecture] = {}
    for entry in content.values():
        architecture = Architecture(
            parameters=entry["parameters"] * 1e9,
            active_parameters=entry.get("active_parameters", entry["parameters"]) * 1e9,
            bytes_per_parameter=float(entry["bytes_per_parameter"]),
            config=entry["config"],
            cache_values=entry.get("cache_values"),
        )
        found |= dict.fromkeys(entry["models"], architecture)
    return found


def of_directory(folder: Path) -> Architecture:
    """The architecture of a saved model, from its config.json and the size of its weights.

    Raises:
        UserError: the directory holds no model with safetensors.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        width = BYTES[config.get("dtype") or config.get("torch_dtype") or "float32"]
        sizes = Architecture(size / width, size / width, width, config)
        sizes.cache_bytes_per_token  # noqa: B018 - the keys are there
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: not the directory of a decoder ({error}); give one") from None
    if not size:
        raise UserError(f"{folder}: no *.safetensors file; give the directory of a saved model")
    return sizes


def find(model: str) -> Architecture | None:
    """The architecture of a directory or a published model; None if it is not known."""
    return of_directory(Path(model)) if Path(model).is_dir() else published().get(model)
