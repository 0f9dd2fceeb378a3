"""The members of an ``.eval`` file: a zip that may be compressed with Zstandard.

inspect_ai wrote deflate first and writes Zstandard now, which ``zipfile`` does not know in the
Pythons handan supports: ``zstandard`` or ``pyarrow`` decompresses it, whichever is there.
"""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from handan.errors import UserError
from handan.json_input import read_bytes

_ZSTANDARD = 93  # the number of the compression method in a zip
# What zipfile and the decompressors under it raise on damaged bytes.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError),
)


def read_members(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The members whose name is wanted, by name; of several with one name, the last.

    Raises:
        UserError: the zip is damaged, encrypted, or compressed in a way nothing here can read.
    """
    content = read_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            return {
                name: _zstandard(path, content, info)
                if info.compress_type == _ZSTANDARD
                else archive.read(info)
                for name, info in infos.items()
                if wanted(name)
            }
    except _DAMAGED as error:
        raise UserError(f"{path}: a damaged zip ({error}); copy the log again") from None
    except (NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); write the log again") from None


def _zstandard(path: Path, content: bytes, info: zipfile.ZipInfo) -> bytes:
    # A local header has 30 bytes, the last four of them the lengths of a name and of extras.
    end = info.header_offset + 30
    begin = end + sum(int.from_bytes(content[end - n : end - n + 2], "little") for n in (4, 2))
    data = _decompress(path, content[begin : begin + info.compress_size])
    if zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile(f"bad checksum of {info.filename}")
    return data


def _decompress(path: Path, data: bytes) -> bytes:
    try:
        import zstandard

        try:
            reader = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
            return reader.decompress(data)
        except zstandard.ZstdError as error:
            raise zipfile.BadZipFile(str(error)) from None
    except ImportError:
        pass
    try:
        import pyarrow
    except ImportError:
        raise UserError(
            f"{path}: compressed with Zstandard, which takes a package: pip install zstandard, "
            "or 'inspect log convert --to json --output-dir DIR LOG'"
        ) from None
    try:
        return pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd").read()
    except OSError as error:
        raise zipfile.BadZipFile(str(error)) from None
