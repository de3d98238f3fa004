"""Who works in a cluster, for whoever only looks."""

from dataclasses import dataclass

from autosched.cluster.connection import Connection
from autosched.cluster.offers import ANY, Offer, compiler_of, offers_of


@dataclass(frozen=True)
class SeenWorker:
    """What a worker offers; ``left_out`` says why this machine's searches do not use it, "" if so.

    ``board`` is None of a mock device, which is whatever board is asked for.
    """

    address: str
    device: str
    board: str | None
    devices: int
    ttnn_version: str
    compiler: str
    left_out: str


class ClusterWatch:
    """Looks at a cluster as long as it is open.

    Raises:
        ClusterError: if there is no scheduler at the address, or it is unsafe.
    """

    def __init__(self, address: str) -> None:
        self._connection = Connection(address, lambda _line: None)

    def workers(self) -> list[SeenWorker]:
        """Return the workers of autosched's, by address; none while the scheduler is away."""
        if not self._connection.is_up:
            return []
        return [
            _seen(address, offer, number, compiler_of(said))
            for address, said in sorted(self._connection.resources().items())
            for offer, number in offers_of(said)
        ]

    def close(self) -> None:
        """Leave the cluster."""
        self._connection.close()


def _seen(address: str, offer: Offer, number: int, compiler: str) -> SeenWorker:
    board = None if offer.board == ANY else offer.board
    need = Offer.of(offer.kind, offer.board, offer.firmware)
    why = offer.difference(need) or ("" if number else "has given its device up")
    return SeenWorker(address, offer.kind, board, number, offer.ttnn_version, compiler, why)
