"""Python's collector of garbage, for processes that live long and make much that is soon gone."""

import gc
from typing import Any


def spare_the_collector(**_signal: Any) -> None:
    """What has been loaded stays, and need not be looked through for garbage again; a burst of
    messages or rows goes by itself. In small bites: what thousands of new sockets have brought
    would keep all of them waiting for half a second, if it were looked through at once."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 2, 1_000)
