"""The smallest RISC-V executable that tt-metal's kernel loader accepts.

The mock device never executes a kernel, but it does load each kernel's ELF file. The loader
(tt-metal, ``tt_metal/llrt/tt_elffile.cpp``) wants ELF32 little-endian RISC-V ``ET_EXEC``, one
``PT_LOAD`` that starts at the entry point, 4-byte alignment, a ``.text`` with relocations, a
symbol table, and a non-allocated ``.segments`` section with one (address, trim bound, size
limit) triple.
"""

import struct

_TEXT_ADDRESS = 0x4000
_NOP = 0x00000013  # addi x0, x0, 0
_RET = 0x00008067  # jalr x0, 0(x1)
_TEXT = struct.pack("<4I", _NOP, _NOP, _NOP, _RET)
_SIZE_LIMIT = 0x10000

_ET_EXEC, _EM_RISCV, _PT_LOAD = 2, 243, 1
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB, _SHT_RELA = 1, 2, 3, 4
_SHF_ALLOC, _SHF_EXEC, _SHF_INFO = 2, 4, 0x40
_EHDR, _PHDR, _SHDR = 52, 32, 40


def placeholder_elf() -> bytes:
    """Return the bytes of the executable."""
    names = ["", ".text", ".rela.text", ".symtab", ".strtab", ".segments", ".shstrtab"]
    shstrtab = b"".join(name.encode() + b"\0" for name in names)
    name_at = {name: shstrtab.index(name.encode() + b"\0") if name else 0 for name in names}
    strtab = b"\0_start\0"
    symtab = bytes(16) + struct.pack("<IIIBBH", 1, _TEXT_ADDRESS, len(_TEXT), 0x12, 0, 1)
    segments = struct.pack("<3I", _TEXT_ADDRESS, _TEXT_ADDRESS, _SIZE_LIMIT)

    text_at = _EHDR + _PHDR
    blobs = [_TEXT, b"", symtab, strtab, segments, shstrtab]
    offsets = []
    cursor = text_at
    for blob in blobs:
        cursor = (cursor + 3) & ~3
        offsets.append(cursor)
        cursor += len(blob)
    sections_at = (cursor + 3) & ~3

    # name, type, flags, address, offset, size, link, info, alignment, entry size
    alloc = _SHF_ALLOC | _SHF_EXEC
    rows = [
        (".text", _SHT_PROGBITS, alloc, _TEXT_ADDRESS, offsets[0], len(_TEXT), 0, 0, 4, 0),
        (".rela.text", _SHT_RELA, _SHF_INFO, 0, offsets[1], 0, 3, 1, 4, 12),
        (".symtab", _SHT_SYMTAB, 0, 0, offsets[2], len(symtab), 4, 1, 4, 16),
        (".strtab", _SHT_STRTAB, 0, 0, offsets[3], len(strtab), 0, 0, 1, 0),
        (".segments", _SHT_PROGBITS, 0, 0, offsets[4], len(segments), 0, 0, 4, 0),
        (".shstrtab", _SHT_STRTAB, 0, 0, offsets[5], len(shstrtab), 0, 0, 1, 0),
    ]
    section_headers = bytes(_SHDR) + b"".join(
        struct.pack("<10I", name_at[name], *rest) for name, *rest in rows
    )
    ident = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9)
    header = ident + struct.pack(
        "<HHIIIIIHHHHHH",
        _ET_EXEC, _EM_RISCV, 1, _TEXT_ADDRESS, _EHDR, sections_at, 0,
        _EHDR, _PHDR, 1, _SHDR, len(rows) + 1, len(rows),
    )  # fmt: skip
    program = struct.pack(
        "<8I", _PT_LOAD, text_at, _TEXT_ADDRESS, _TEXT_ADDRESS, len(_TEXT), len(_TEXT), 5, 4
    )
    image = bytearray(sections_at)
    image[: len(header)] = header
    image[_EHDR : _EHDR + _PHDR] = program
    for offset, blob in zip(offsets, blobs, strict=True):
        image[offset : offset + len(blob)] = blob
    return bytes(image) + section_headers
