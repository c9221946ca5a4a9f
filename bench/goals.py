"""The goals of the comparison, and whether these figures reach them: told, and never an exit code."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench import mixed
from bench.figures import Figures
from bench.load import CREATE, LIST, PAGE, REFUSED, RETRIEVE, Ask

OURS, BASELINE, WIREMOCK = mixed.OURS, "prism static", "wiremock"
# (figures, connections) -> what was measured; None: it was not.
Measure = Callable[[Figures, int], float | None]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is due of one figure: at least so much, or at most."""

    name: str
    least: bool
    due: float
    unit: str
    measure: Measure

    def told(self, figures: Figures, connections: int) -> dict[str, object]:
        """The goal, what was measured, and whether that reaches it (None: it was not measured)."""
        found = self.measure(figures, connections)
        reached = None if found is None else found >= self.due if self.least else found <= self.due
        due = f"{'≥' if self.least else '≤'} {self.due:g}{self.unit}"
        return {"goal": self.name, "due": due, "measured": found, "reached": reached}


def beside(ask: str, server: str, other: str | None = None) -> Measure:
    """The mock's rate as a multiple of a server's; `other`: of that one's under another load."""
    return lambda figures, connections: figures.ratio(ask, connections, OURS, (other or ask, server))


def _of_a_request(ask: Ask, times: float, *, wiremock: bool = True) -> Iterator[Goal]:
    yield Goal(f"{ask.name}, beside Prism", True, times, " times", beside(ask.name, BASELINE))
    if wiremock:
        yield Goal(f"{ask.name}, beside WireMock", True, 1, " times", beside(ask.name, WIREMOCK))


def _start(figures: Figures, connections: int) -> float | None:
    found = figures.start(OURS)
    return found.wall if found else None


def _start_beside(figures: Figures, connections: int) -> float | None:
    ours, theirs = figures.start(OURS), figures.start(BASELINE)
    return ours.wall / theirs.wall if ours and theirs else None


def _memory(figures: Figures, connections: int) -> float | None:
    return figures.memory[OURS].read if OURS in figures.memory else None


GOALS = (
    *_of_a_request(RETRIEVE, 10),
    *_of_a_request(LIST, 10),
    *_of_a_request(PAGE, 5, wiremock=False),
    *_of_a_request(CREATE, 6),
    *_of_a_request(REFUSED, 7, wiremock=False),
    Goal("mixed, beside json-server", True, 5, " times", beside(mixed.NAME, mixed.JSON_SERVER)),
    Goal("mixed, beside its own reads alone", True, 0.5, " times", beside(mixed.NAME, OURS, mixed.READS)),
    Goal("cold start", False, 1, " s", _start),
    Goal("cold start, beside Prism", False, 0.5, " times", _start_beside),
    Goal("memory after the reads", False, 100, " MiB", _memory),
)


def told(figures: Figures, connections: int) -> list[dict[str, object]]:
    """Every goal, of the rounds with so many connections."""
    return [goal.told(figures, connections) for goal in GOALS]


def table(figures: Figures, connections: int) -> Iterator[str]:
    """The same as Markdown."""
    yield f"| goal, at {connections} connections | due | measured | |"
    yield "|---|--:|--:|---|"
    for said in told(figures, connections):
        found, reached = said["measured"], said["reached"]
        verdict = "not measured" if reached is None else "reached" if reached else "missed"
        shown = f"{found:.2f}" if isinstance(found, float) else ""
        yield f"| {said['goal']} | {said['due']} | {shown} | {verdict} |"
