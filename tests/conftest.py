"""What holds for every test."""

import signal


def _restore_signals() -> None:
    """Let child processes see Ctrl-C.

    A run in the background of a shell starts with SIGINT ignored, which children inherit.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


_restore_signals()
