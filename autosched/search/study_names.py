"""What a study is called where the user gives it no name."""

from itertools import count

from autosched.network.graph import Network
from autosched.store.database import Store
from autosched.store.studies import StudyRecord, find_study
from autosched.store.trials import list_trials

_NAMED = 3  # layers that a message names before it counts the rest


def default_study_name(network: str, board: str, batch: int = 1, number: int = 1) -> str:
    """Return the name of a network's study: ``resnet50-n150``, or ``resnet50-b16-n150`` by batch.

    Further networks of one name have a ``number``: ``resnet50-n150-2``.
    """
    images = "" if batch == 1 else f"-b{batch}"
    again = "" if number == 1 else f"-{number}"
    return f"{network}{images}-{board}{again}"


def own_study_name(store: Store, network: Network, board: str) -> str:
    """Return the first default name under which there is no study of another network or board.

    A board's name may have meant another grid when the study was named.

    Raises:
        StoreError: if the database refuses.
    """
    # Names did not always have the batch.
    before = find_study(store, default_study_name(network.name, board))
    wanted = (network.signature, board)
    if before is not None and (before.network_signature, before.board) == wanted:
        return before.name
    for number in count(1):
        name = default_study_name(network.name, board, network.batch, number)
        found = find_study(store, name)
        if found is None or (found.network_signature, found.board) == wanted:
            return name
    raise AssertionError  # numbers never end


def network_difference(store: Store, study: StudyRecord, network: Network) -> str:
    """Return in words how a network differs from that of a study, "" if no trial tells.

    Raises:
        StoreError: if the database refuses.
    """
    (first,) = list_trials(store, study, numbers=[0]) or (None,)
    if first is None or first.schedule is None:
        return ""
    theirs, ours = list(first.schedule.layers), list(network.by_name)
    gone = [name for name in theirs if name not in network.by_name]
    new = [name for name in ours if name not in first.schedule.layers]
    words = [f"it has {_list(gone)}"] if gone else []
    words += [f"this one has {_list(new)}"] if new else []
    return " and ".join(words) or "its layers have other parameters, shapes or inputs"


def _list(names: list[str]) -> str:
    what = "layer" if len(names) == 1 else "layers"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{what} {', '.join(names[:_NAMED])}{more}"
