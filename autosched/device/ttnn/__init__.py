"""The ttnn calls of each operator, and what runs, times and reads them."""
