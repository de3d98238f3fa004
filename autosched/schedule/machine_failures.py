"""What is said when the machine fails, and not what was asked of it.

A full disk, short memory, a kernel cache or compiler that cannot be used: ttnn throws the same
RuntimeError for these as for a configuration that it refuses, and only the words differ.
"""

import re

# Of the C library (strerror), C++'s filesystem and allocator, GCC's driver and torch's allocator.
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
    r"|Failed to (?:write|open|create|read|rename) (?:file|directory)"
    r"|Killed signal terminated program"
    r"|command not found",
)
# tt-metal's words where a kernel's binary cannot be made; a compiler that refuses the kernel says
# why in its log, one that could not do its work leaves it empty.
_SILENT_BUILD = re.compile(r"build failed\. Log:\s*(?:backtrace:|\Z)")
# A kernel that includes what a compiler lacks does not compile with it, as others do.
_MISSING_HEADER = re.compile(r"fatal error: \S+: No such file or directory")
_FRAMES = re.compile(r"^ --- .*$", re.MULTILINE)


def is_machine_failure(text: str) -> bool:
    """Whether a text of ttnn's (or what is kept of it) tells of a failure of the machine."""
    said = _MISSING_HEADER.sub("", _FRAMES.sub("", text)).rstrip()
    return bool(_SYSTEM_SAYS.search(said) or _SILENT_BUILD.search(said))
