"""Why a layer is configured as it is."""
