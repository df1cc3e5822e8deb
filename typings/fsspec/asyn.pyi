from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")

def sync(loop: AbstractEventLoop, func: Callable[[], Coroutine[object, object, T]]) -> T: ...
