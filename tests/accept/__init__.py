"""What the project promises, as commands: ``python -m tests.accept``, or ``make accept``.

A promise is declared in a file ``promise_*.py``, with the limits of its figures and the function
that takes them. None of them is a test: pytest collects nothing here.
"""
