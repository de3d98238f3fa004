"""Devices of many machines, at work for one study by dask.distributed."""
