"""What no schedule of the probed choices can beat.

A bound has to hold for whatever the device makes of a schedule. Only one thing in a layer's probe
depends on where its tensors happen to lie: ``ttnn.move``, which runs nothing where a tensor lies
well already. So the bound counts no moves, though the search does.
"""

from dataclasses import dataclass

from autosched.probing.joint_problem import JointProblem
from autosched.solver.orders import without_l1
from autosched.solver.solver import solve

_MOVES_SHARE = 5e-4


def relative_gap(best_us: float | None, bound_us: float | None) -> float | None:
    """Return how far a latency is above a lower bound, as a fraction of the bound.

    It is below zero for a schedule that is not made of the choices that the bound is of. None where
    one of the two is unknown.
    """
    if best_us is None or not bound_us:
        return None
    gap = best_us / bound_us - 1
    return 0.0 if -_MOVES_SHARE < gap < 0 else gap


@dataclass(frozen=True)
class Proof:
    """Lower bounds in microseconds.

    No schedule of the tables that runs the layers in the joint problem's order takes less than
    ``bound_us``, none in any order less than ``any_order_us``. ``optimal`` says that the first is
    tight: choices of the tables take that long by their probes.
    """

    bound_us: float
    any_order_us: float
    optimal: bool
    seconds: float

    def is_reached(self, latency_us: float | None) -> bool:
        """Whether a latency is as good as the bound: what moves are left is worth no trial."""
        return latency_us is not None and latency_us <= self.bound_us * (1 + _MOVES_SHARE)


def prove(joint: JointProblem, time_limit_s: float) -> Proof:
    """Solve the tables for their lower bounds; a time limit makes them lower, never wrong.

    Raises:
        SearchError: if no schedule of the tables fits in L1, naming the layer and the way out.
    """
    solution = solve(joint.bounding_problem, time_limit_s=time_limit_s)
    roomy = solve(without_l1(joint.bounding_problem), time_limit_s=time_limit_s)
    return Proof(
        bound_us=solution.lower_bound_us,
        any_order_us=min(solution.lower_bound_us, roomy.lower_bound_us),
        optimal=solution.optimal,
        seconds=solution.seconds + roomy.seconds,
    )
