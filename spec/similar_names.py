"""Finds the name that a misspelled one probably means."""

from collections.abc import Collection

MAX_EDITS = 2  # between a misspelled name and the one that is suggested


def find_similar_name(name: str, names: Collection[str]) -> str | None:
    """Return the name that is closest to an unknown one, without regard to case; None if all differ too much.

    At most two edits, and at most one in names of two or three letters: most short names are two edits from each other.
    """
    similar = [known for known in names if abs(len(known) - len(name)) <= MAX_EDITS]
    close = {known: count_edits(name.lower(), known.lower()) for known in similar}
    best = min(close, key=lambda known: close[known], default=None)
    return best if best is not None and close[best] <= min(MAX_EDITS, len(best) // 2) else None


def count_edits(name: str, other: str) -> int:
    """Return how many insertions, deletions, replacements and swaps of neighbours change one name to the other."""
    before_last: list[int] = []
    last = list(range(len(other) + 1))
    for row, char in enumerate(name, 1):
        current = [row]
        for column, other_char in enumerate(other, 1):
            edits = min(last[column] + 1, current[-1] + 1, last[column - 1] + (char != other_char))
            if row > 1 and column > 1 and (char, name[row - 2]) == (other[column - 2], other_char):
                edits = min(edits, before_last[column - 2] + 1)
            current.append(edits)
        before_last, last = last, current
    return last[-1]
