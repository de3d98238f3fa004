"""What is said when the machine fails, and not what was asked of it.

A full disk, short memory, a kernel cache or compiler that cannot be used: ttnn throws the same
RuntimeError for these as for a configuration that it refuses, and only the words differ.
"""

import re

# Of the C library (strerror), shells, C++'s filesystem and allocator, GCC's driver and torch's
# allocator.
_SYSTEM_SAYS = re.compile(
    r"No space left on device"
    r"|Disk quota exceeded"
    r"|Read-only file system"
    r"|Input/output error"
    r"|Stale file handle"
    r"|Too many open files"
    r"|Permission denied"
    r"|Operation not permitted"
    r"|No such file or directory"
    r"|Not a directory"
    r"|Text file busy"
    r"|Exec format error"
    r"|Cannot allocate memory"
    r"|can't allocate memory"
    r"|not enough memory"
    r"|out of memory allocating"
    r"|virtual memory exhausted"
    r"|std::bad_alloc"
    r"|Resource temporarily unavailable"
    r"|filesystem error"
    r"|bad file: "  # yaml-cpp's
    r"|(?i:not an ELF file|cannot map elf|mmap failed)"
    r"|Failed to (?:write|open|create|read|rename) (?:file|directory)"
)
# tt-metal's words where a kernel's binary cannot be made.
_NOT_BUILT = re.compile(r"build failed|Failed to generate binaries")
# What a compiler says of a kernel it refuses, with the line of C++ or assembly. A compiler that is
# killed, crashes or is missing says nothing of the kind.
_OF_THE_KERNEL = re.compile(
    r"(?:^|Log:\s*)\S+:\d+(?::\d+)?: (?:fatal )?[Ee]rror: "
    r"|static assertion failed|undefined reference to"
    r"|region `[^']+' overflowed",
    re.MULTILINE,
)
_CRASHED = re.compile(r"internal compiler error|terminated (?:program|with signal)")
# A kernel that includes what a compiler lacks does not compile with it, as others do.
_MISSING_HEADER = re.compile(r"fatal error: \S+: No such file or directory")
_FRAMES = re.compile(r"^ --- .*$", re.MULTILINE)


def is_machine_failure(text: str) -> bool:
    """Whether a text of ttnn's (or what is kept of it) tells of a failure of the machine."""
    said = _FRAMES.sub("", text)
    if _SYSTEM_SAYS.search(_MISSING_HEADER.sub("", said)):
        return True
    if not _NOT_BUILT.search(said):
        return False
    return bool(_CRASHED.search(said)) or not _OF_THE_KERNEL.search(said)
