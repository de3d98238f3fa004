"""What is done with a card that hung: reset by the vendor's tool, and tried with a known-good op.

A card that does not come back is used no more. The mock device and the simulator are processes and
need nothing of it.
"""

import logging
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace

from autosched.device.interface import LayerTest, ReshardRequest
from autosched.errors import DeviceError
from autosched.schedule.outcomes import LayerExecution, Rejection
from autosched.schedule.tensors import DRAM_TILE, PageLayout

RESET_VARIABLE = "AUTOSCHED_RESET"
"""Names the command that resets the card; empty: none is to be called."""
_USUAL = "tt-smi -r 0"
_LIMIT_S = 300.0
_LEAST_CONCORDANCE = 0.999

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CardReset:
    """Brings a device back after a hang: ``command`` resets it (empty: nothing does).

    ``known_good`` is a method of the device and what it is asked, to see whether it works again.
    """

    command: tuple[str, ...]
    known_good: tuple[str, LayerTest | ReshardRequest]

    def reset(self) -> None:
        """Have the vendor's tool reset the card.

        Raises:
            DeviceError: if there is no such tool, or it fails; the message carries its words.
        """
        if not self.command:
            return
        words = shlex.join(self.command)
        _log.warning("The card hung: resetting it with %s", words)
        advice = f"{RESET_VARIABLE} names another command, or none where it is empty"
        try:
            done = subprocess.run(
                self.command,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=_LIMIT_S,
            )
        except OSError as error:
            raise DeviceError(
                f"the card hung, and {words} cannot be started ({error.strerror}): {advice}"
            ) from None
        except subprocess.TimeoutExpired:
            raise DeviceError(
                f"the card hung, and {words} did not end within {_LIMIT_S:g} s"
            ) from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            last = said[-1] if said else f"exit code {done.returncode}"
            raise DeviceError(f"the card hung, and {words} failed ({last}): {advice}")

    def objection(self, answer: object) -> str:
        """Return what is wrong with the answer to what is known to be good, "" if nothing is."""
        if isinstance(answer, Rejection):
            return f"it rejects what is known to be good: {answer.message}"
        if isinstance(answer, LayerExecution) and (
            answer.varies or answer.agreement.concordance < _LEAST_CONCORDANCE
        ):
            return "it computes what is known to be good wrong"
        return str(answer) if isinstance(answer, Exception) else ""


_TO_ROWS = ReshardRequest((1, 32, 32, 32), DRAM_TILE, replace(DRAM_TILE, page=PageLayout.ROW_MAJOR))


def recovery_of(kind: str, environment: Mapping[str, str] = os.environ) -> CardReset | None:
    """Return what brings a kind of device back after a hang, None where a new process does.

    Raises:
        DeviceError: if the command in the environment is none.
    """
    if kind != "silicon":
        return None
    try:
        command = shlex.split(environment.get(RESET_VARIABLE, _USUAL))
    except ValueError as error:
        raise DeviceError(f"{RESET_VARIABLE} is no command: {error}") from None
    return CardReset(tuple(command), ("execute_layer", LayerTest(_TO_ROWS)))
