"""PyTorch's allocator of GPU memory, as far as it decides what "allocated" counts.

A loader's memory is more than its tensors: the allocator takes whole segments from the driver,
hands out a freed block that is a little too large, and counts what it hands out. Rules and sizes
are those of `c10/cuda/CUDACachingAllocator.cpp` of PyTorch 2.9 to 2.11.
"""

from __future__ import annotations

import dataclasses
import math

MIB = 1024**2

_ROUND = 512
_SMALL = MIB
_SMALL_SEGMENT = 2 * MIB
_LARGE = 10 * MIB
_LARGE_SEGMENT = 20 * MIB


@dataclasses.dataclass(eq=False, slots=True)
class Block:
    """A part of a segment."""

    size: int
    small: bool
    segment: list[Block]
    used: bool = False


class Arena:
    """The allocator of one process.

    Args:
        undivided: Bytes from which a block is never divided (`max_split_size_mb`); None divides
            all. Then a large request takes a free block that is up to 20 MiB too large.
    """

    def __init__(self, undivided: int | None = None) -> None:
        self.allocated = 0
        self._undivided = undivided
        # Free blocks of small segments, and of large ones.
        self._free: dict[bool, list[Block]] = {True: [], False: []}

    def take(self, size: int) -> Block:
        """Returns a block of at least this size."""
        size = -(-size // _ROUND) * _ROUND
        small = size <= _SMALL
        block = self._smallest(small, size)
        if block is None:
            block = Block(_segment(size), small, [])
            block.segment.append(block)
        else:
            self._free[small].remove(block)
        if self._divides(block, size):
            rest = Block(block.size - size, block.small, block.segment)
            block.segment.insert(block.segment.index(block) + 1, rest)
            block.size = size
            self._free[small].append(rest)
        block.used = True
        self.allocated += block.size
        return block

    def give(self, block: Block) -> None:
        """Takes a block back, and joins it with free neighbours."""
        self.allocated -= block.size
        block.used = False
        free = self._free[block.small]
        place = block.segment.index(block)
        for neighbour in (
            block.segment[place + 1 : place + 2] + block.segment[max(0, place - 1) : place]
        ):
            if not neighbour.used:
                block.size += neighbour.size
                block.segment.remove(neighbour)
                free.remove(neighbour)
        free.append(block)

    def _smallest(self, small: bool, size: int) -> Block | None:
        """Returns the smallest free block that a request of this size may have, or None."""
        # A large model asks for some thousand blocks: no call for each free one.
        below = self._below(small, size)
        smallest = None
        for free in self._free[small]:
            if size <= free.size < below:
                smallest, below = free, free.size
        return smallest

    def _below(self, small: bool, size: int) -> float:
        """Returns the size from which a free block is too large for a request."""
        if small or self._undivided is None:
            return math.inf
        return self._undivided if size < self._undivided else size + _LARGE_SEGMENT

    def _divides(self, block: Block, size: int) -> bool:
        if block.small:
            return block.size - size >= _ROUND
        whole = self._undivided is not None and size >= self._undivided
        return not whole and block.size - size > _SMALL


def _segment(size: int) -> int:
    if size <= _SMALL:
        return _SMALL_SEGMENT
    if size < _LARGE:
        return _LARGE_SEGMENT
    return -(-size // _SMALL_SEGMENT) * _SMALL_SEGMENT
