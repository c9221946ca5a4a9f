"""The checks of the model: one for each kind of operation on records."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from conformance.checks.support.check import Case, Category, Fixture, FixtureScope, check
from conformance.checks.support.listing import is_list
from conformance.checks.support.values import has_action, is_create, select_least_certain
from conformance.errors import insufficient_data, not_testable
from conformance.model.execution import Divergence, Execution
from conformance.model.reduction import WRITES, reduce_steps
from conformance.model.steps import Step
from conformance.model.tours import Tour, run_tour
from conformance.results import CheckResult
from spec.model import Contract, Operation

# (operationId, subject) of the divergences that the checks of the model have reported.
REPORTED_DIVERGENCES: Fixture[set[tuple[str, str]]] = Fixture(
    "reported divergences", FixtureScope.RUN, lambda case: set()
)
BuildSteps = Callable[[Tour], Iterator[Step]]
MAX_REDUCED = 2  # divergences of one case that are reduced
SHORT_REDUCTION_REQUESTS = 80  # for each of the others: short sequences are tried
MAX_SHOWN_STEPS = 12
EXPLORATION_STEPS = 20  # rules of one explored sequence


def _run(build_steps: BuildSteps) -> Callable[[Case], Iterator[CheckResult]]:
    """Build the function of a check: execute a tour of the operation and compare each response with the model."""

    def run(case: Case) -> Iterator[CheckResult]:
        execution = Execution.start(case.session)
        run_tour(execution, build_steps(Tour(execution, case.operation)))
        own = [divergence for divergence in execution.divergences if divergence.operation.id == case.operation.id]
        stale = [divergence for divergence in execution.divergences if _is_stale_read(divergence, execution)]
        reported = [*own, *stale] if case.operation.is_write else own
        reported += _select_certain(case, execution, reported)
        case.use(REPORTED_DIVERGENCES).update(divergence.identity for divergence in reported)
        yield from _report(case, [(divergence, execution) for divergence in reported])
        if not execution.steps:
            yield case.skip(case.build_requirement(), not_testable("the contract defines no way to create the records"))
            return
        yield from _report_reached(case, execution, {divergence.subject for divergence in own})
        if not reported:
            yield case.build_result(case.build_requirement(), "")

    return run


def _select_certain(case: Case, execution: Execution, reported: Sequence[Divergence]) -> list[Divergence]:
    """Return the divergences of other operations that do not depend on the meaning of the contract.

    The sequences of that operation may not show them. Each is reported once in a run, and not if the same subject is
    reported for the operation of the case, whose fault it then shows. A rerun reports all of them: what failed in the
    run may depend on the contract in the rerun, where a stale cache may show no record from the beginning.
    """
    known, subjects = case.use(REPORTED_DIVERGENCES), {divergence.subject for divergence in reported}
    others = (divergence for divergence in execution.divergences if divergence.subject not in subjects)
    if case.session.is_rerun:
        return list(others)
    return [d for d in others if (d.is_contradiction or d.is_independent) and d.identity not in known]


def _is_stale_read(divergence: Divergence, execution: Execution) -> bool:
    """Whether a read was right before a write and the same read is wrong after it."""
    *earlier, last = execution.steps[: divergence.step]
    return divergence.operation.method == "get" and last.action not in WRITES and last in earlier


def _report_reached(case: Case, execution: Execution, failed: set[str]) -> Iterator[CheckResult]:
    """Yield a result for each field and parameter without a divergence: passed, or skipped if it was not reached."""
    operation = case.operation
    fields = operation.body_fields.values() if operation.is_write else ()
    attributes = case.session.operations.resource(operation).attributes
    subjects = {f.name: f.pointer for f in fields if f.relation_setter or f.name in attributes}
    subjects |= {p.name: p.pointer for p in operation.query_parameters if p.x_query}
    for name, pointer in subjects.items():
        if name in failed:
            continue
        requirement = case.build_requirement(pointer, parameter=name)
        if (operation.id, name) in execution.reached:
            yield case.build_result(requirement, "")
        else:
            yield case.skip(requirement, insufficient_data(f"no request with {name} succeeded"))


def _report(case: Case, divergences: list[tuple[Divergence, Execution]]) -> Iterator[CheckResult]:
    """Yield the result of each divergence, with the shortest sequence of steps that shows it."""
    for position, (divergence, execution) in enumerate(divergences):
        target = replace(case, operation=divergence.operation)
        requirement = target.build_requirement(*select_least_certain(case, *divergence.locations), divergence.subject)
        requirement = replace(requirement, provenance_independent=divergence.is_independent)
        budget = case.session.options.reduction_requests
        budget = budget if position < MAX_REDUCED else min(budget, SHORT_REDUCTION_REQUESTS)
        steps, shown, explanation = list(execution.steps[: divergence.step]), divergence, ""
        if budget:
            steps, shown = reduce_steps(case.session, divergence, steps, budget)
            explanation = shown.explain()
        message = f"{shown.message}; {explanation}" if explanation else shown.message
        result = case.build_result(requirement, f"{message} [{format_steps(steps)}]", *shown.evidence)
        yield replace(result, is_contradiction=divergence.is_contradiction)


def format_steps(steps: Sequence[Step]) -> str:
    """Describe a sequence in one line; the first steps of a long one are left out."""
    omitted = f"{len(steps) - MAX_SHOWN_STEPS} earlier steps; " if len(steps) > MAX_SHOWN_STEPS else ""
    return omitted + "; ".join(map(str, steps[-MAX_SHOWN_STEPS:]))


def _is_explored(contract: Contract, operation: Operation) -> bool:
    creator = contract.find_create_operation(operation.resource or "")
    return creator is operation and is_create(contract, operation) and not operation.effects


@check(
    "model-sequence",
    "After any sequence of writes, every read returns what the contract states.",
    Category.WRITES,
    _is_explored,
    writes=True,
)
def explore(case: Case) -> Iterator[CheckResult]:
    """Explore sequences around the resource; a divergence is reported for the operation that it is attributed to."""
    from conformance.model.exploration import ExplorationDepth, explore  # imports Hypothesis

    session = case.session
    depth = ExplorationDepth(session.options.exploration_sequences, EXPLORATION_STEPS)
    executions = explore(session, case.operation, depth, session.payloads.random.randrange(2**32))
    divergences: dict[tuple[str, str], tuple[Divergence, Execution]] = {}
    for execution in executions:
        for divergence in execution.divergences:
            divergences.setdefault(divergence.identity, (divergence, execution))
    yield from _report(case, list(divergences.values()))
    if not divergences:
        yield case.build_result(case.build_requirement(), "")


model_create = check(
    "model-create",
    "A created record has the values of the request and the defaults of the contract, wherever it is returned.",
    Category.WRITES,
    is_create,
    writes=True,
)(_run(Tour.creates))
model_update = check(
    "model-update",
    "An update changes the fields of the request and nothing else, wherever the record is returned.",
    Category.WRITES,
    has_action("update"),
    writes=True,
)(_run(Tour.updates))
model_retrieve = check(
    "model-retrieve",
    "A retrieved record has its current values and the relations of the request.",
    Category.RELATIONS,
    has_action("retrieve"),
)(_run(Tour.retrievals))
model_list = check(
    "model-list",
    "A list contains exactly the records that match the query, in the requested order and pages.",
    Category.LISTS,
    is_list,
    affected_by_other_clients=True,
)(_run(Tour.lists))
model_delete = check(
    "model-delete",
    "A deleted record is returned nowhere, and the records that refer to it follow the on-delete rule.",
    Category.WRITES,
    has_action("delete"),
    writes=True,
)(_run(Tour.deletes))
