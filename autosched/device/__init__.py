"""Where a network runs: boards, the mock device, silicon, and the worker process."""
