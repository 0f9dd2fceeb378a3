"""Weights come as safetensors: a pickle can run any code when it is loaded, so none ever is."""

import re
from pathlib import Path

from handan.errors import UserError
from handan.records import content_hash, file_hash

PICKLED = re.compile(r"(pytorch_model|adapter_model|model|consolidated).*\.(bin|pt|pth|ckpt)")
CONVERT = (
    "convert them where nothing can be lost: load them with torch.load(FILE, weights_only=True) "
    "and write them with safetensors.torch.save_file(WEIGHTS, 'model.safetensors')"
)


def refuse_pickle(folder: Path) -> None:
    """Stop at weights that are pickled.

    Raises:
        UserError: names the file and how to convert it.
    """
    for path in sorted(folder.iterdir()):
        if PICKLED.fullmatch(path.name):
            raise UserError(f"{path}: pickled weights can run code when they are loaded; {CONVERT}")


def of_adapter(folder: Path) -> Path:
    """The weights of a low-rank adapter.

    Raises:
        UserError: there are none as safetensors.
    """
    path = folder / "adapter_model.safetensors"
    if not path.exists():
        refuse_pickle(folder)
        raise UserError(f"{path}: no such file; give the directory of a saved adapter")
    return path


def model_fingerprint(model_dir: str | Path) -> str:
    """Hash of the files that decide what a local model says.

    Raises:
        UserError: the directory holds no model.
    """
    folder = Path(model_dir)
    named = ("config.json", "tokenizer.json", "chat_template.jinja")
    tensors = sorted(folder.glob("*.safetensors"))
    if not tensors:
        refuse_pickle(folder)
        raise UserError(f"{folder}: no *.safetensors file; give the directory of a saved model")
    others = [folder / name for name in named if (folder / name).exists()]
    return content_hash({path.name: file_hash(path) for path in (*tensors, *others)})
