import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from autosched.device.mock.placeholder_elf import placeholder_elf


def test_the_first_segment_starts_at_the_entry() -> None:
    image = placeholder_elf()
    assert image[:7] == b"\x7fELF\x01\x01\x01"
    entry, program_at = struct.unpack_from("<II", image, 24)
    kind, offset, address = struct.unpack_from("<III", image, program_at)
    assert (kind, address) == (1, entry)
    assert offset % 4 == entry % 4 == 0


READELF = shutil.which("readelf")


@pytest.mark.skipif(READELF is None, reason="binutils is not installed")
def test_readelf_finds_nothing_wrong(tmp_path: Path) -> None:
    path = tmp_path / "kernel.elf"
    path.write_bytes(placeholder_elf())
    done = subprocess.run(
        [str(READELF), "--wide", "--all", path], capture_output=True, text=True, check=True
    )
    assert not done.stderr
    assert "RISC-V" in done.stdout
    for section in (".text", ".rela.text", ".symtab", ".strtab", ".segments", ".shstrtab"):
        assert f" {section} " in done.stdout
    assert "_start" in done.stdout
