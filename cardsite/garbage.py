"""Python's collector of garbage, for processes that live long and make much that is soon gone."""

import gc
from typing import Any


def spare_the_collector(**_signal: Any) -> None:
    """What has been loaded stays, and need not be looked through for garbage again; a burst of
    messages or rows goes by itself."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
