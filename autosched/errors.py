"""Every error autosched raises on purpose. This module imports nothing.

A message says what is wrong, where (file, layer, database), and what to do next. The
command line prints it and ends with :attr:`AutoschedError.exit_code`; a traceback means a bug.
"""


class AutoschedError(Exception):
    """Root of all deliberate errors; the command line turns it into one message."""

    exit_code = 2


class NetworkFileError(AutoschedError):
    """A ``net.py`` cannot be used: missing, raises on import, no or several modules, bad inputs."""


class ProgramError(AutoschedError):
    """A ttnn program to profile cannot be used: missing, raises, hangs, or runs nothing."""


class UnsupportedOperatorError(AutoschedError):
    """The network has operators that cannot be lowered; the message lists each with its place."""


class WrongCaptureError(AutoschedError):
    """The captured network computes something else than the module: a fault of autosched's."""


class BoardError(AutoschedError):
    """An unknown board, or a device that is not there."""


class DeviceError(AutoschedError):
    """The device or its worker process cannot be started or keeps failing."""


class MachineError(DeviceError):
    """The machine failed, not what was asked of it: its disk, memory, kernel cache or compiler."""


class ClusterError(AutoschedError):
    """A cluster's scheduler cannot be reached or is unsafe, or no worker can do what is needed."""


class StoreError(AutoschedError):
    """A database that cannot be opened, is locked, full, read-only, newer or not ours."""


class StudyError(AutoschedError):
    """An unknown study, or one made for another network, board or ttnn version."""


class SearchError(AutoschedError):
    """An unknown sampler or option, or a search that has no feasible schedule."""


class NoScheduleError(SearchError):
    """Nothing of what may be chosen fits: it was proven, not merely not found."""


class FloorError(SearchError):
    """No schedule that was found is as exact as it has to be; ``lost`` is what the best one lacks.

    It is 1 - PCC, or what a figure of one's own lacks on the same scale; infinite where none ran.
    """

    def __init__(self, message: str, lost: float = float("inf")) -> None:
        super().__init__(message)
        self.lost = lost


class UsageError(AutoschedError):
    """Words of a command line that no command takes."""


class SettingsFileError(AutoschedError):
    """A file of defaults that cannot be read or names no option, or a log that cannot be kept."""


class ScheduleError(AutoschedError):
    """A schedule file that is broken, edited to an illegal value, or made for something else."""


class ProfileError(AutoschedError):
    """A profiler report that is no profile, lacks columns, or mixes architectures."""


class ServiceError(AutoschedError):
    """A service that cannot be started, or asked for what it does not have."""


class TimeUpError(AutoschedError):
    """The caller's time was up before the answer was there; says nothing of what was asked."""
