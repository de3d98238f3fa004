"""Leaves out candidates that others make pointless.

A candidate is dominated when another takes and leaves the same layouts, is not slower and needs
no more circular buffers, whether or not its input may be freed early: swapping it in keeps every
other choice valid and costs nothing.
"""

from collections import defaultdict

from autosched.search.problem import Layer, Problem


def undominated(problem: Problem, keep: int = 1) -> tuple[tuple[int, ...], ...]:
    """Return the candidates of each layer that can still matter.

    A candidate goes only if ``keep`` others dominate it, so the ``keep`` best joint choices cost
    the same without it. One that occurs in a learned constraint dominates nothing, because the
    swap may be forbidden where the original is not. Pinned candidates stay.
    """
    suspects: dict[int, set[int]] = defaultdict(set)
    for nogood in problem.nogoods:
        for layer, chosen in nogood:
            suspects[layer].add(chosen)
    return tuple(
        _undominated_of(layer, suspects[index], keep) for index, layer in enumerate(problem.layers)
    )


def _undominated_of(layer: Layer, suspects: set[int], keep: int) -> tuple[int, ...]:
    table = layer.candidates
    needs = [(item.cb_bytes, item.cb_bytes - item.saved_bytes) for item in table]
    by_time = sorted(layer.allowed, key=lambda i: (table[i].time_us, *needs[i], i))
    seen: dict[tuple[tuple[int, ...], int], list[tuple[int, int]]] = defaultdict(list)
    kept = []
    for index in by_time:
        candidate = table[index]
        not_slower = seen[candidate.input_layouts, candidate.output_layout]
        staying, freeing = needs[index]
        if sum(a <= staying and b <= freeing for a, b in not_slower) >= keep:
            continue
        kept.append(index)
        if index not in suspects:
            not_slower.append(needs[index])
    return tuple(sorted(kept))
