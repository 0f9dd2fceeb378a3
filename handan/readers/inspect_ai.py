"""Logs of inspect_ai: ``.eval`` (a zip of JSON, perhaps unfinished or of Zstandard), ``.json``."""

import io
import lzma
import struct
import zipfile
import zlib
from pathlib import Path

from handan.errors import UserError
from handan.generation import chat
from handan.generation.chat import Said, Usage
from handan.inputs import at, count, expect, field, json_object, name, part, read_bytes, text
from handan.readers.logged import (
    ITEM_COLUMNS,
    ITEM_CURE,
    Collected,
    Log,
    LoggedSample,
    Options,
)

_ZSTANDARD = 93  # the number of the compression method in a zip
# What zipfile and the decompressors under it raise on damaged bytes.
_BAD = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError)
_GRADES = {"C": 1, "I": 0, "N": 0}  # correct, incorrect, no answer; P is partial


def read(path: Path, options: Options) -> Log:
    """Read one log."""
    header, rows = _header_and_samples(path)
    with at(str(path)):
        spec = expect("eval", field(header, "eval"), dict)
        logged_model = text("eval.model", spec.get("model"))
        model = options.model or name("eval.model", spec.get("model"))
        task = name("eval.task", spec.get("task"))
    # What this provider of inspect_ai counts as output includes the padding of a batch.
    padded = logged_model.startswith("hf/")
    collected = Collected(path, "samples", options)
    items: dict[tuple[str, ...], str] = {}
    for place, row in rows:
        try:
            output = part(row, "output", dict)
            usage = _usage(output, padded)
            choices = _said(row, output, usage)
        except UserError as error:
            collected.leave_out(f"{row.get('id')} (epoch {row.get('epoch')})", error)
            continue
        with at(place):
            metadata = part(row, "metadata", dict)
            # Of the task that handan gives to inspect_ai (handan.readers.inspect_task).
            ours = set(ITEM_COLUMNS) <= metadata.keys()
            item_field = options.item_field or ("metadata.item" if ours else "id")
            item = name(item_field, field(row, item_field, ITEM_CURE))
            if ours:
                task = name("metadata.task", metadata["task"])
                cells = [metadata[column] for column in ITEM_COLUMNS]
                items[tuple("" if cell is None else str(cell) for cell in cells)] = place
            epoch = name("epoch", field(row, "epoch"))
            right = _correct(place, row, f"{item} (epoch {epoch})", collected)
        for number, said in enumerate(choices):
            sample = epoch if len(choices) == 1 else f"{epoch}.{number}"
            names = (place, model, task, item, sample)
            collected.samples.append(LoggedSample(*names, usage, said, right))
    log = collected.log("ask the provider for it")._replace(items=items)
    if header.get("status") != "success":
        status = text("status", header.get("status"))
        log.notes.append(f"{path}: the evaluation did not finish, its status is '{status}'")
    return log


def _header_and_samples(path: Path) -> tuple[dict, list[tuple[str, dict]]]:
    """Return the log's header, and each sample with its place."""
    if path.suffix != ".eval":
        header = json_object(str(path), read_bytes(path))
        with at(str(path)):
            rows = part(header, "samples", list)
        found = {f"samples[{number}]": row for number, row in enumerate(rows)}
    else:
        found = {key: json_object(f"{path}, {key}", of) for key, of in _members(path).items()}
        start = found.pop("_journal/start.json", {}) | {"status": "started"}
        header = found.pop("header.json", start)
    if not found:
        raise UserError(f"{path}: no samples; is it a log of inspect_ai, with --log-samples?")
    for member, row in found.items():
        expect(f"{path}, {member}: a sample", row, dict)
    return header, [(f"{path}, {member}", row) for member, row in found.items()]


def _said(row: dict, output: dict, usage: Usage) -> list[Said]:
    """Return the choices of the model's only turn."""
    messages = row["messages"] if isinstance(row.get("messages"), list) else []
    turns = [one for one in messages if isinstance(one, dict) and one.get("source") == "generate"]
    if row.get("error") is not None:
        raise UserError("ended by an error")
    if len(turns) > 1:
        raise UserError("of several turns, where usage is that of the last one")
    choices = [expect("a choice", choice, dict) for choice in part(output, "choices", list)]
    if not choices:
        raise UserError("without a response")
    # The fields are those of a chat completion but for the name of its end.
    ends = [None if c.get("stop_reason") == "unknown" else c.get("stop_reason") for c in choices]
    finished = zip(choices, ends, strict=True)
    return [chat.said_by(choice | {"finish_reason": end}, usage) for choice, end in finished]


def _usage(output: dict, padded: bool) -> Usage:
    """Count the tokens of a sample; of several choices they are the sum, which belongs to none."""
    usage = part(output, "usage", dict)
    read, written = "input_tokens_cache_read", "input_tokens_cache_write"
    names = ("input_tokens", read, written, "reasoning_tokens", "output_tokens", "total_tokens")
    prompt, *cached, reasoning, completion, total = (count(key, usage.get(key)) for key in names)
    if prompt is not None:
        prompt += sum(filter(None, cached))
    if padded or len(part(output, "choices", list)) > 1:
        return Usage(prompt=prompt)
    return chat.counted(prompt, completion, reasoning, total)


def _correct(place: str, row: dict, shown: str, collected: Collected) -> bool | None:
    given = part(row, "scores", dict)
    metric = collected.metric(given)
    if metric is None:
        return None
    value = expect(f"score {metric}", given[metric], dict).get("value")
    grade = _GRADES.get(value, value) if isinstance(value, str) else value
    return collected.score(shown, place, f"score {metric}", grade)


def _members(path: Path) -> dict[str, bytes]:
    """Return the members of a zip that are read, by name; of several with one name, the last."""
    content, found = read_bytes(path), {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name, info in {info.filename: info for info in archive.infolist()}.items():
                header = name in ("header.json", "_journal/start.json")
                if header or name.startswith("samples/"):
                    packed = info.compress_type == _ZSTANDARD
                    found[name] = _zstandard(path, content, info) if packed else archive.read(info)
        return found
    except _BAD as error:
        raise UserError(f"{path}: a damaged zip ({error}); copy the log again") from None
    except (NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); write the log again") from None


def _zstandard(path: Path, content: bytes, info: zipfile.ZipInfo) -> bytes:
    try:
        import pyarrow
    except ImportError:
        raise UserError(
            f"{path}: compressed with Zstandard, which takes a package: pip install pyarrow, "
            "or 'inspect log convert --to json --output-dir DIR LOG'"
        ) from None
    # A local header has 30 bytes, the last four of them the lengths of a name and of extras.
    end = info.header_offset + 30
    begin = end + sum(int.from_bytes(content[end - n : end - n + 2], "little") for n in (4, 2))
    packed = pyarrow.BufferReader(content[begin : begin + info.compress_size])
    data = pyarrow.CompressedInputStream(packed, "zstd").read()
    if zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile(f"bad checksum of {info.filename}")
    return data
