"""Explores sequences of writes and reads with a Hypothesis state machine, on a resource and those it is related to."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, initialize, precondition, rule

from conformance.errors import SkipCheck, SuiteError
from conformance.files import redirect_hypothesis_files
from conformance.model.execution import Execution
from conformance.model.steps import Action, RecordName, Step
from conformance.model.tours import Tour
from conformance.session.session import Session
from spec.model import Operation

SIMPLEST_SEQUENCES = 2  # Hypothesis starts with the simplest sequences, whatever the seed
MAX_LIVE_RECORDS = 12  # records of one sequence; then no more are created
MAX_QUERY_PARAMETERS = 3
MAX_FIELDS = 4  # fields of one body
MAX_TEXT_CHARS = 40
MIN_INTEGER, MAX_INTEGER = -(2**31), 2**31 - 1
TEXT_CHARACTERS = st.characters(exclude_categories=["C"])  # control characters may be rejected


@dataclass(frozen=True, slots=True)
class ExplorationDepth:
    """How much is explored for one resource."""

    sequences: int
    steps: int


def explore(session: Session, operation: Operation, depth: ExplorationDepth, seed_value: int) -> list[Execution]:
    """Execute random sequences around the resource of an operation; equal seeds execute equal sequences.

    Raises the errors of the session that end a run.
    """
    exploration = Exploration(session, find_neighborhood(session, operation.resource or ""))
    test: Callable[[], None] = get_state_machine_test(
        partial(ModelMachine, exploration),  # type: ignore[arg-type]
        settings=settings(
            max_examples=SIMPLEST_SEQUENCES + depth.sequences,
            stateful_step_count=depth.steps,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            verbosity=Verbosity.quiet,  # also after an interruption
            suppress_health_check=list(HealthCheck),
        ),
    )
    with suppress(HypothesisException), redirect_hypothesis_files():
        seed(seed_value)(test)()
    if exploration.stop:
        raise exploration.stop[0]
    return exploration.executions


@dataclass(slots=True)
class Exploration:
    """What the sequences of one exploration share. `stop`: the error that ends the run, if one occurred."""

    session: Session
    resources: list[str]
    executions: list[Execution] = field(default_factory=list)
    stop: list[SuiteError] = field(default_factory=list)

    def start(self) -> Execution:
        """Start a sequence."""
        self.executions.append(Execution.start(self.session))
        return self.executions[-1]


class ModelMachine(RuleBasedStateMachine):
    """Rules: the operations of the contract on a resource and those it is related to."""

    def __init__(self, exploration: Exploration) -> None:
        super().__init__()
        self.session = exploration.session
        self.resources = exploration.resources
        self.stop = exploration.stop
        self.execution = exploration.start()

    def run(self, steps: Any) -> None:
        """Execute steps; after an error that ends the run, do nothing."""
        for step in () if self.stop else steps:
            try:
                self.execution.execute(step)
            except SkipCheck:
                return
            except SuiteError as error:
                self.stop.append(error)
                return

    @initialize()
    def create_first(self) -> None:
        """Create two records to begin with."""
        for _ in range(2):
            self.run(self.tour(self.resources[0]).create(self.resources[0]))

    @precondition(lambda self: len(self.execution.live_names()) < MAX_LIVE_RECORDS)
    @rule(data=st.data())
    def create(self, data: st.DataObject) -> None:
        """Create a record with any subset of the fields."""
        resource = data.draw(st.sampled_from(self.resources))
        creator = self.session.contract.find_create_operation(resource)
        if creator is not None:
            self.run(self.tour(resource).create(resource, self.draw_body(data, resource, creator)))

    @precondition(lambda self: self.execution.live_names())
    @rule(data=st.data())
    def update(self, data: st.DataObject) -> None:
        """Update a record with any subset of the fields, and retrieve it."""
        name = self.draw_record(data)
        operations = self.session.contract.operations.values()
        updates = [o for o in operations if (o.resource, o.action) == (name.resource, "update")]
        if updates:
            update = data.draw(st.sampled_from(updates))
            body = self.draw_body(data, name.resource, update)
            step = Step(Action.UPDATE, name.resource, name, body, operation="" if update is updates[0] else update.id)
            self.run([step, Step(Action.RETRIEVE, name.resource, name)])

    @precondition(lambda self: len(self.execution.live_names()) > 2)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Delete a record, and retrieve another."""
        name = self.draw_record(data)
        if self.session.operations.find(name.resource, "delete") is not None:
            self.run([Step(Action.DELETE, name.resource, name)])

    @precondition(lambda self: self.execution.records)
    @rule(data=st.data())
    def retrieve(self, data: st.DataObject) -> None:
        """Retrieve a record, existing or deleted."""
        name = data.draw(st.sampled_from(list(self.execution.records)))
        self.run([Step(Action.RETRIEVE, name.resource, name)])

    @rule(data=st.data())
    def read_list(self, data: st.DataObject) -> None:
        """List a resource with any combination of parameters."""
        resource = data.draw(st.sampled_from(self.resources))
        listing = self.session.operations.find(resource, "list")
        if listing is not None:
            queries = Tour(self.execution, listing).list_queries()
            choices = dict.fromkeys(name for query in queries for name in query)
            names = data.draw(st.lists(st.sampled_from(list(choices) or [""]), max_size=MAX_QUERY_PARAMETERS))
            query: dict[str, Any] = {}
            for name in names:
                options = [q for q in queries if name in q]
                query |= data.draw(st.sampled_from(options)) if options else {}
            self.run([Step(Action.LIST, resource, query=query)])

    def tour(self, resource: str) -> Tour:
        """Return the source of steps for a resource; parents may be of resources outside the neighborhood."""
        return Tour(self.execution, self.session.operations.creator(resource))

    def draw_record(self, data: st.DataObject) -> RecordName:
        """Draw an existing record."""
        return data.draw(st.sampled_from(self.execution.live_names()))

    def draw_body(self, data: st.DataObject, resource: str, operation: Operation) -> dict[str, Any]:
        """Draw a subset of the fields, references included.

        The choices are bodies with one field, and the discriminator if it is a reference; the drawn ones are merged.
        """
        choices = self.tour(resource).body_choices(operation)
        if not choices:
            return {}
        names = data.draw(st.lists(st.sampled_from(sorted(choices)), unique=True, max_size=MAX_FIELDS))
        body: dict[str, Any] = {}
        for name in names:
            generated = _build_strategy(self.session, operation, name)
            body |= data.draw(st.one_of(st.sampled_from(choices[name]), *([] if generated is None else [generated])))
        return body


def _build_strategy(session: Session, operation: Operation, name: str) -> st.SearchStrategy[dict[str, Any]] | None:
    """Build a strategy for bodies with one field, a free text or a number; None for any other field."""
    fields = operation.body_fields
    schema = session.payloads.resolve_schema(fields[name].schema)
    validator = session.schemas.get_field(fields[name], "write")
    if schema.keys() & {"enum", "format", "pattern"} or fields[name].relation_setter:
        return None
    values: st.SearchStrategy[Any]
    match schema.get("type"):
        case "string":
            maximum = min(MAX_TEXT_CHARS, int(schema.get("maxLength", MAX_TEXT_CHARS)))
            values = st.text(TEXT_CHARACTERS, min_size=int(schema.get("minLength", 0)), max_size=maximum)
        case "integer":
            values = st.integers(schema.get("minimum", MIN_INTEGER), schema.get("maximum", MAX_INTEGER))
        case "number":
            values = st.decimals(schema.get("minimum", -1000), schema.get("maximum", 1000), places=3).map(float)
        case _:
            return None
    return values.filter(validator.is_valid).map(lambda value: {name: value})


def find_neighborhood(session: Session, resource: str) -> list[str]:
    """Return a resource, then those that it refers to and those that refer to it, if the run can create them."""
    contract = session.contract
    parents = [t for r in contract.resources[resource].relations.values() if r.is_stored for t in r.targets]
    children = [source.name for source, _ in contract.find_relations_to(resource)]
    names = dict.fromkeys([resource, *parents, *children])
    return [name for name in names if Tour.can_create(session, name)]
