"""What is remembered: probes, studies, trials and calibrations.

``database`` opens a store, ``probes``, ``studies``, ``trials`` and ``calibrations`` read and write
it. SQLAlchemy and Alembic are imported by these modules, not by this package.
"""
