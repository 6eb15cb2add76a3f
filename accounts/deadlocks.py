"""Writing once more what PostgreSQL gave up because two waited for each other."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection

P = ParamSpec("P")
Out = TypeVar("Out")

DEADLOCK = "40P01"  # PostgreSQL's appendix A
TRIES = 5


def again_if_deadlocked(write: Callable[P, Out]) -> Callable[P, Out]:
    """Two that write the same rows in another order may wait for each other; PostgreSQL then fails
    one of them, whose whole transaction is lost. So only whoever began that may try again: within
    another's this does nothing.
    """

    @wraps(write)
    def again(*args: P.args, **kwargs: P.kwargs) -> Out:
        for left in reversed(range(TRIES)):
            try:
                return write(*args, **kwargs)
            except OperationalError as error:
                deadlocked = getattr(error.__cause__, "sqlstate", None) == DEADLOCK
                if not deadlocked or not left or connection.in_atomic_block:
                    raise
        raise AssertionError

    return again
