"""Every write before it is sent, and everything that was created: what the run has to take away again."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class Made:
    """A record that the run created: its resource's name and its key."""

    resource: str
    key: Any


@dataclass(slots=True)
class Ledger:
    """A file of JSON lines; `file` None keeps it in memory only."""

    run: str
    file: TextIO | None = None
    made: list[Made] = field(default_factory=list)

    @classmethod
    def at(cls, run: str, path: Path) -> "Ledger":
        """A ledger in a new file."""
        return cls(run, path.open("a", encoding="utf-8"))

    def writing(self, operation: str, target: str) -> None:
        """Note a write that is about to be sent."""
        self._note({"run": self.run, "writing": operation, "target": target})

    def created(self, resource: str, key: Any) -> None:
        """Note a record that the run made."""
        self.made.append(Made(resource, key))
        self._note({"run": self.run, "created": resource, "key": key})

    def gone(self, resource: str, key: Any) -> None:
        """Note that a record of the run is no more."""
        made = Made(resource, key)
        if made in self.made:
            self.made.remove(made)
        self._note({"run": self.run, "gone": resource, "key": key})

    def close(self) -> None:
        """End its file."""
        if self.file is not None:
            self.file.close()

    def left(self) -> Iterator[Made]:
        """What is left over, the last made first."""
        yield from reversed(list(self.made))

    def _note(self, line: dict[str, Any]) -> None:
        if self.file is not None:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
