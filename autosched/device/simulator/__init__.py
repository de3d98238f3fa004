"""Files and environment that make ttnn open Tenstorrent's functional simulator."""
