"""All quantities of a piece of work in one mapping."""

from autosched.cost.work import Work


def all_quantities(work: Work) -> dict[str, float]:
    """Return the quantities of all stages and the serial ones, summed up by name."""
    quantities = dict(work.serial)
    for stage in work.stages:
        for name, amount in stage.quantities.items():
            quantities[name] = quantities.get(name, 0.0) + amount
    return quantities
