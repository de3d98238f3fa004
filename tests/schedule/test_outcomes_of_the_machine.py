import pytest

from autosched.schedule.outcomes import is_machine_failure

BUILD = (
    "TT_THROW @ /project/tt_metal/impl/program/program.cpp:419: tt::exception\ninfo:\n"
    "Failed to generate binaries for halo_gather TT_THROW @ "
    "/project/tt_metal/jit_build/build.cpp:149: tt::exception\ninfo:\n"
    "ncrisc build failed. Log: {log}\nbacktrace:\n"
    " --- std::filesystem::create_directories(std::filesystem::path const&)\n"
    " --- tt::tt_metal::JitBuildState::compile_one() const\n"
)


@pytest.mark.parametrize(
    "text",
    [
        BUILD.format(log=""),
        "Failed to generate binaries for x TT_THROW @ b.cpp:149: e info: trisc0 build failed. Log:",
        BUILD.format(log="x.o: No space left on device"),
        BUILD.format(log="cc1plus: fatal error: Killed signal terminated program cc1plus"),
        BUILD.format(log="Killed"),
        BUILD.format(log="collect2: fatal error: ld terminated with signal 9 [Killed]"),
        BUILD.format(log="k.cpp:3:10: internal compiler error: Segmentation fault"),
        BUILD.format(log="sh: 1: /cache/riscv-tt-elf-g++: not found"),
        "TT_THROW @ /project/tt_metal/llrt/tt_elffile.cpp:9: tt::exception\ninfo:\nnot an ELF file",
        BUILD.format(log="sh: 1: /cache/runtime/sfpi/riscv-tt-elf-g++: Permission denied"),
        "Failed to generate binaries for t Failed to write file: /cache/kernels/n150/kernel_args.h",
        "filesystem error: cannot create directories: No such file or directory [/cache]",
        "bad file: /cache/runtime-root/tt_metal/core_descriptors/wormhole_b0_80_arch.yaml",
        "std::bad_alloc",
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
    ],
)
def test_what_the_machine_says(text: str) -> None:
    assert is_machine_failure(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Out of Memory: Not enough space to allocate 2097152 B L1 buffer across 64 banks",
        "Statically allocated circular buffers in program 3 clash with L1 buffers",
        "act_matrix_height_ntiles 7 should be divisible by act_block_h_ntiles 2",
        BUILD.format(log="c.s:26: Error: SFPU register spill or vector instruction"),
        BUILD.format(log="k.cpp:3:10: fatal error: ckernel_x.h: No such file or directory"),
        BUILD.format(log="k.cpp:30:1: error: 'x' was not declared in this scope"),
        BUILD.format(log="reader.cpp:12:5: error: static assertion failed: too few tiles"),
    ],
)
def test_what_ttnn_and_its_compiler_say_of_a_configuration(text: str) -> None:
    """Frames of a backtrace name the system's functions all the same."""
    frames = "\nbacktrace:\n --- std::filesystem::filesystem_error::what() const\n"
    assert not is_machine_failure(text)
    assert not is_machine_failure(text + frames)
