"""What is done in a thread of its own while the next is made ready."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Self


class Beside:
    """One piece of work at a time in a thread of its own, while the next is made ready: PostgreSQL and the maker of its rows are two processors' work."""

    def __init__(self, apart: bool) -> None:
        self.thread = ThreadPoolExecutor(1) if apart else None
        self.doing: Future[int] | None = None
        self.found = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.thread is not None:
            self.thread.shutdown(cancel_futures=True)

    def begin[**P](self, work: Callable[P, int], *args: P.args, **kwargs: P.kwargs) -> None:
        """Begin a piece of work, or do it at once where nothing follows it."""
        if self.thread is None:
            self.found = work(*args, **kwargs)
        else:
            self.doing = self.thread.submit(copy_context().run, partial(work, *args, **kwargs))

    def result(self) -> int:
        """What the last piece gave, once it is done; 0 where there was none. Raises as it did."""
        doing, self.doing = self.doing, None
        found, self.found = self.found if doing is None else doing.result(), 0
        return found
