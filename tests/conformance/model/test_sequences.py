"""Sequences of the model: execution against the clinic, attribution of divergences, reduction, exploration."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp

from conformance.errors import BudgetExhausted
from conformance.model.checks import format_steps, model_list
from conformance.model.execution import Execution
from conformance.model.exploration import ExplorationDepth, explore
from conformance.model.reduction import reduce_steps
from conformance.model.steps import Action, RecordName, Step
from conformance.model.tours import Tour
from conformance.mutation.conforming_variants import VARIANTS
from conformance.mutation.fault_injection import CallNext, Fault, FaultInjector, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import change_json, on_success, respond_if
from conformance.mutation.in_process_mock import InProcessTarget, create_session
from conformance.results import Status
from conformance.runner.runner import run
from conformance.session.session import Session
from conformance.transport.client import Budget
from tests.conformance.support.clinic import SEED, demo_clinic, inject_fault, mutant
from tests.conformance.support.clinic_faults import CLINIC, AppWrapper, build_error

WARD, OTHER_WARD = RecordName("Ward", 1), RecordName("Ward", 2)
PATIENT, OTHER_PATIENT = RecordName("Patient", 1), RecordName("Patient", 2)
OpenSession = Callable[..., Session]


@pytest.fixture
def open_session() -> OpenSession:
    """Open sessions on the clinic, with or without a fault."""

    def start(fault: AppWrapper | None = None) -> Session:
        clinic = demo_clinic()
        clinic.reset()
        return create_session(clinic, fault(clinic.app) if fault else clinic.app, SEED)

    return start


def execute(session: Session, *steps: Step) -> Execution:
    execution = Execution.start(session)
    for step in steps:
        execution.execute(step)
    return execution


def increase_treatment_counts(_: InterceptedRequest, body: Any) -> Any:
    """Increase the count in a record, or in each row of a list."""
    rows = body["data"] if isinstance(body["data"], list) else [body["data"]]
    changed = [{**row, "treatments_count": row["treatments_count"] + 1} for row in rows]
    return {**body, "data": changed if isinstance(body["data"], list) else changed[0]}


@pytest.mark.parametrize(
    ("operations", "has_operation"), [(["retrievePatient"], False), (["retrievePatient", "listPatients"], True)]
)
def test_count_that_differs_between_reads_depends_on_no_operation(
    open_session: OpenSession, operations: list[str], has_operation: bool
) -> None:
    session = open_session(inject_fault(change_json(increase_treatment_counts), *operations))
    execution = execute(session, Step(Action.CREATE, "Patient", PATIENT), Step(Action.RETRIEVE, "Patient", PATIENT))
    pointer = CLINIC.resources["Patient"].derived_properties["treatments_count"].pointer
    operation = (CLINIC.operations["createPatient"].pointer, None)
    expected = ((pointer, "x-derived"), operation) if has_operation else ((pointer, None),)
    assert [divergence.locations for divergence in execution.divergences] == [expected]


def test_sequence_without_a_fault_has_no_divergence(open_session: OpenSession) -> None:
    execution = execute(
        open_session(),
        Step(Action.CREATE, "Ward", WARD),
        Step(Action.CREATE, "Ward", OTHER_WARD),
        Step(Action.CREATE, "Patient", PATIENT, {"ward_uuid": WARD}),
        Step(Action.DELETE, "Ward", WARD),  # restricted: 409
        Step(Action.RETRIEVE, "Ward", WARD),
        Step(Action.UPDATE, "Patient", PATIENT, {"name": "Max"}),
        Step(Action.DELETE, "Patient", PATIENT),
        Step(Action.DELETE, "Ward", WARD),
        Step(Action.RETRIEVE, "Ward", WARD),
        Step(Action.LIST, "Ward"),
        Step(Action.LIST, "Patient", query={"with": ["ward"]}),
    )
    assert [divergence.message for divergence in execution.divergences] == []
    assert execution.records[WARD].is_deleted
    assert not execution.records[OTHER_WARD].is_deleted


def test_step_on_a_missing_record_is_left_out(open_session: OpenSession) -> None:
    execution = execute(open_session(), Step(Action.UPDATE, "Ward", WARD, {"name": "x"}))
    assert execution.steps == []


def test_change_by_another_client_is_no_divergence(open_session: OpenSession) -> None:
    session = open_session()
    execution = execute(session)
    execution.adopt_rows("Patient", 2)
    updated_name, deleted_name = execution.live_names("Patient")
    update, delete = session.operations.require("Patient", "update"), session.operations.require("Patient", "delete")
    session.client.send(
        update, path={update.path_parameter_names[0]: execution.records[updated_name].key}, body={"name": "new"}
    )
    session.client.send(delete, path={delete.path_parameter_names[0]: execution.records[deleted_name].key})
    for step in (Step(Action.LIST, "Patient"), Step(Action.RETRIEVE, "Patient", updated_name)):
        assert execution.execute(step) == []
    assert execution.records[updated_name].attributes["name"] == "new"


def test_record_that_vanished_is_attributed_to_the_last_write(open_session: OpenSession) -> None:
    def hide_patients(app: ASGIApp) -> ASGIApp:
        return inject_fault(respond_if(lambda _: True, build_error(404, "Not found.")), "retrievePatient")(app)

    def inject(app: ASGIApp) -> ASGIApp:
        return hide_patients(mutant("frame/deletePatient/deletes another too")(app))

    execution = execute(
        open_session(inject),
        Step(Action.CREATE, "Patient", PATIENT),
        Step(Action.CREATE, "Patient", OTHER_PATIENT),
        Step(Action.DELETE, "Patient", OTHER_PATIENT),
        Step(Action.DELETE, "Patient", PATIENT),
    )
    [divergence] = execution.divergences
    assert (divergence.operation.id, divergence.is_contradiction) == ("deletePatient", True)
    assert divergence.message == "delete of Patient 1, which exists: got 404, expected 2xx"
    assert [exchange.request.method for exchange in divergence.evidence] == ["delete", "delete"]


def test_delete_that_is_not_implemented_is_no_contradiction(open_session: OpenSession) -> None:
    fault = inject_fault(respond_if(lambda q: q.method == "DELETE", build_error(404, "Not found.")), "deleteWard")
    execution = execute(open_session(fault), Step(Action.CREATE, "Ward", WARD), Step(Action.DELETE, "Ward", WARD))
    assert [divergence.is_contradiction for divergence in execution.divergences] == [False]


def hide_existing_horses() -> Fault:
    """Horses that existed before the run are listed, but cannot be retrieved."""
    created: set[str] = set()

    def change(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        record = response.json["data"]
        if request.operation.id == "createPatient":
            created.add(record["uuid"])
        is_hidden = record["species"] == "horse" and record["uuid"] not in created
        return build_error(404, "Not found.") if is_hidden else response

    return on_success(change)()


@pytest.mark.slow
def test_listed_record_that_cannot_be_retrieved_is_reported_by_the_tour_of_the_list(open_session: OpenSession) -> None:
    session = open_session(inject_fault(hide_existing_horses, "retrievePatient", "createPatient"))
    operations = [CLINIC.operations["listPatients"]]
    failures = run(session, [model_list], operations, lambda _: None).with_status(Status.FAILED)
    assert {(f.requirement.operation, f.is_contradiction) for f in failures} == {("retrievePatient", True)}


def test_record_of_each_kind_is_retrieved(open_session: OpenSession) -> None:
    session = open_session()
    execution = Execution.start(session)
    tour = Tour(execution, CLINIC.operations["listPatients"])
    retrieved = [execution.records[step.record] for step in tour.adopt_rows() if step.record is not None]
    rows = [record.row for record in execution.records.values()]
    for name in ("insured", "listed"):
        assert {record.row[name] for record in retrieved} == {row[name] for row in rows}


def test_row_for_two_values_of_a_filter_by_a_related_record_is_reported(open_session: OpenSession) -> None:
    patients: list[Any] = []

    def add_patient(request: InterceptedRequest, page: Any) -> Any:
        patients.extend({n: v for n, v in row.items() if n != "ward"} for row in page["data"][:1] if not patients)
        has_filter = "ward_uuid" in dict(request.query)
        rows = [*page["data"], *patients] if has_filter else page["data"]
        return {**page, "data": rows, "meta": {**page["meta"], "total": len(rows)}} if has_filter else page

    execution = execute(
        open_session(inject_fault(change_json(add_patient), "listPatients")),
        Step(Action.CREATE, "Ward", WARD),
        Step(Action.CREATE, "Ward", OTHER_WARD),
        Step(Action.LIST, "Patient"),
        Step(Action.LIST, "Patient", query={"ward_uuid": WARD}),
        Step(Action.LIST, "Patient", query={"ward_uuid": OTHER_WARD}),
    )
    [divergence] = execution.divergences
    assert (divergence.subject, divergence.is_contradiction) == ("ward_uuid", False)
    assert "contains too, expected it in one of them" in divergence.message


def test_list_is_compared_with_records_of_other_clients(open_session: OpenSession) -> None:
    execution = execute(open_session(mutant("filter/listPatients/practice_uuid incomplete")))
    execution.adopt_rows("Patient", 2)
    patient = execution.records[PATIENT]
    [divergence] = execution.execute(
        Step(Action.LIST, "Patient", query={"practice_uuid": patient.row["practice"]["uuid"]})
    )
    assert (divergence.operation.id, divergence.subject) == ("listPatients", "practice_uuid")


def test_missing_row_is_explained_by_what_all_listed_records_have(open_session: OpenSession) -> None:
    def remove_unweighed(request: InterceptedRequest, body: Any) -> Any:
        return {**body, "data": [row for row in body["data"] if row["weight"] is not None]}

    session = open_session(inject_fault(change_json(remove_unweighed), "listPatients"))
    [divergence] = execute(
        session,
        Step(Action.CREATE, "Patient", PATIENT, {"weight": None}),
        Step(Action.LIST, "Patient"),
    ).divergences
    explanation = divergence.explain()
    assert explanation.startswith("retrieve returns it; unlike each of "), explanation
    assert "weight is None" in explanation


def test_totals_that_follow_a_write_later_than_the_rows_are_no_divergence(open_session: OpenSession) -> None:
    def delay_totals(app: ASGIApp) -> ASGIApp:
        return FaultInjector.create(app, CLINIC, VARIANTS["totals updated after 2 s"](CLINIC, demo_clinic().clock))

    session = open_session(delay_totals)
    creates = [Step(Action.CREATE, "Ward", name) for name in (WARD, OTHER_WARD)]
    execution = execute(session, *creates, Step(Action.LIST, "Ward", query={"size": 1}))
    session.client.observed_delay = 0.0  # not known yet
    execution.execute(Step(Action.DELETE, "Ward", OTHER_WARD))
    assert execution.execute(Step(Action.LIST, "Ward", query={"size": 1})) == []


def test_repeated_row_of_another_client_is_a_divergence(open_session: OpenSession) -> None:
    def repeat_last_row(request: InterceptedRequest, body: Any) -> Any:
        return {**body, "data": body["data"] + body["data"][-1:]}

    execution = execute(
        open_session(inject_fault(change_json(repeat_last_row), "listWards")), Step(Action.LIST, "Ward")
    )
    assert [(d.operation.id, d.subject) for d in execution.divergences] == [("listWards", "rows")]
    assert "2 times, expected once" in execution.divergences[0].message


def test_row_that_changes_and_moves_to_another_page_during_the_read_is_no_divergence(open_session: OpenSession) -> None:
    def repeat_changed_row(request: InterceptedRequest, body: Any) -> Any:
        return {**body, "data": [*body["data"], {**body["data"][-1], "updated_at": "2026-01-01T00:00:00Z"}]}

    session = open_session(inject_fault(change_json(repeat_changed_row), "listWards"))
    assert execute(session, Step(Action.LIST, "Ward")).divergences == []
    assert session.client.observed_delay == 0


def test_value_that_an_update_does_not_store_is_attributed_to_the_update(open_session: OpenSession) -> None:
    execution = execute(
        open_session(mutant("update/updatePatient/story not stored")),
        Step(Action.CREATE, "Patient", PATIENT, {"story": "old"}),
        Step(Action.UPDATE, "Patient", PATIENT, {"story": "new"}),
        Step(Action.RETRIEVE, "Patient", PATIENT),
    )
    assert [(d.operation.id, d.subject) for d in execution.divergences] == [("updatePatient", "story")]
    assert not execution.divergences[0].is_independent


def test_change_of_another_record_is_attributed_to_the_last_write(open_session: OpenSession) -> None:
    execution = execute(
        open_session(mutant("frame/deletePatient/deletes another too")),
        *(Step(Action.CREATE, "Patient", RecordName("Patient", number)) for number in (1, 2)),
        *(Step(Action.RETRIEVE, "Patient", RecordName("Patient", number)) for number in (1, 2)),
        Step(Action.DELETE, "Patient", RecordName("Patient", 2)),
        Step(Action.RETRIEVE, "Patient", RecordName("Patient", 1)),
    )
    assert [(d.operation.id, d.subject) for d in execution.divergences] == [("deletePatient", "retrieved")]


def test_one_divergence_does_not_hide_others(open_session: OpenSession) -> None:
    execution = execute(
        open_session(mutant("update/updatePatient/story not stored")),
        Step(Action.CREATE, "Patient", PATIENT),
        Step(Action.UPDATE, "Patient", PATIENT, {"story": "new", "name": "Max"}),
        Step(Action.RETRIEVE, "Patient", PATIENT),
        Step(Action.RETRIEVE, "Patient", PATIENT),
    )
    assert [divergence.subject for divergence in execution.divergences] == ["story"]


async def reject(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
    """Reject a request with 409."""
    return build_error(409, "In use.")


def test_rejected_delete_diverges_unless_another_client_refers_to_the_record(open_session: OpenSession) -> None:
    steps = (Step(Action.CREATE, "Ward", WARD), Step(Action.DELETE, "Ward", WARD))
    assert [
        d.subject for d in execute(open_session(inject_fault(lambda: reject, "deleteWard")), *steps).divergences
    ] == ["delete"]
    session = open_session()
    execution = execute(session, steps[0])
    session.records.create(
        "Patient", {"ward_uuid": execution.records[WARD].key}
    )  # unknown to the model, as of another client
    assert execution.execute(steps[1]) == []


def test_reduction_leaves_the_steps_and_fields_that_are_needed(open_session: OpenSession) -> None:
    session = open_session(mutant("update/updatePatient/story not stored"))
    execution = execute(
        session,
        Step(Action.CREATE, "Ward", WARD),
        Step(Action.CREATE, "Ward", OTHER_WARD),
        Step(Action.CREATE, "Patient", PATIENT, {"ward_uuid": WARD}),
        Step(Action.LIST, "Patient"),
        Step(Action.UPDATE, "Patient", PATIENT, {"story": "new", "name": "Max"}),
        Step(Action.LIST, "Ward"),
        Step(Action.RETRIEVE, "Patient", PATIENT),
    )
    (divergence,) = execution.divergences
    steps, shortest = reduce_steps(session, divergence, execution.steps, max_requests=200)
    assert format_steps(steps) == "create Patient 1 {}; update Patient 1 {story: 'new'}; retrieve Patient 1"
    requests = [exchange.request for exchange in shortest.evidence]
    assert [request.operation for request in requests] == ["createPatient", "updatePatient", "retrievePatient"]
    assert requests[1].body == {"story": "new"}


def repeat_first_response() -> Fault:
    """A read is answered as the first time."""
    responses: dict[str, InterceptedResponse] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        return responses.setdefault(request.path, response) if response.is_success else response

    return fault


def test_reduction_removes_reads_and_numbers_the_records_that_remain(open_session: OpenSession) -> None:
    session = open_session(mutant("update/updatePatient/story not stored"))
    execution = execute(
        session,
        Step(Action.CREATE, "Ward", WARD),
        Step(Action.CREATE, "Patient", PATIENT, {"ward_uuid": WARD}),
        Step(Action.CREATE, "Ward", OTHER_WARD),
        Step(Action.CREATE, "Patient", OTHER_PATIENT, {"ward_uuid": OTHER_WARD}),
        Step(Action.RETRIEVE, "Patient", PATIENT),
        Step(Action.RETRIEVE, "Patient", OTHER_PATIENT),
        Step(Action.UPDATE, "Patient", OTHER_PATIENT, {"story": "new"}),
        Step(Action.LIST, "Ward"),
        Step(Action.RETRIEVE, "Patient", OTHER_PATIENT),
    )
    (divergence,) = execution.divergences
    steps, shortest = reduce_steps(session, divergence, execution.steps, max_requests=200)
    assert format_steps(steps) == "create Patient 1 {}; update Patient 1 {story: 'new'}; retrieve Patient 1"
    assert shortest.message.startswith("story of Patient 1 in retrievePatient: ")


def test_reduction_tries_the_last_write_between_two_reads_first(open_session: OpenSession) -> None:
    """As of a read that is cached: hundreds of other steps cost no requests."""
    session = open_session(inject_fault(repeat_first_response, "retrievePatient"))
    updates = [Step(Action.UPDATE, "Patient", OTHER_PATIENT, {"story": str(number)}) for number in range(20)]
    execution = execute(
        session,
        Step(Action.CREATE, "Ward", WARD),
        Step(Action.CREATE, "Patient", OTHER_PATIENT, {"ward_uuid": WARD}),
        *updates,
        Step(Action.CREATE, "Patient", PATIENT, {"ward_uuid": WARD}),
        Step(Action.RETRIEVE, "Patient", PATIENT),
        Step(Action.LIST, "Ward"),
        Step(Action.UPDATE, "Patient", PATIENT, {"story": "new"}),
        Step(Action.RETRIEVE, "Patient", PATIENT),
    )
    divergence = next(d for d in execution.divergences if d.subject == "story")
    steps, _ = reduce_steps(session, divergence, execution.steps, max_requests=60)
    expected = "create Patient 1 {}; retrieve Patient 1; update Patient 1 {story: 'new'}; retrieve Patient 1"
    assert format_steps(steps) == expected


def test_reduction_without_requests_returns_the_sequence(open_session: OpenSession) -> None:
    session = open_session(mutant("create/createWard/lost"))
    execution = execute(session, Step(Action.CREATE, "Ward", WARD), Step(Action.RETRIEVE, "Ward", WARD))
    (divergence,) = execution.divergences
    assert reduce_steps(session, divergence, execution.steps, max_requests=0) == (execution.steps, divergence)


def test_equal_seeds_explore_equal_sequences(open_session: OpenSession) -> None:
    depth = ExplorationDepth(sequences=2, steps=10)
    runs = []
    for seed in (1, 1, 2):
        executions = explore(open_session(), CLINIC.operations["createPatient"], depth, seed)
        assert [divergence.message for execution in executions for divergence in execution.divergences] == []
        runs.append([str(step) for execution in executions for step in execution.steps])
    assert runs[0] == runs[1] != runs[2]


def test_exhausted_budget_ends_the_exploration(open_session: OpenSession) -> None:
    session = open_session()
    assert isinstance(session.client.target, InProcessTarget)
    session.client.target.budget = Budget(20, None)
    with pytest.raises(BudgetExhausted):
        explore(session, CLINIC.operations["createPatient"], ExplorationDepth(sequences=3, steps=20), 1)


def test_failure_shows_the_reduced_sequence(open_session: OpenSession) -> None:
    session = open_session(mutant("filter/listPatients/species ignored"))
    session.update_options(reduction_requests=200)
    run_result = run(session, [model_list], [CLINIC.operations["listPatients"]], lambda result: None)
    failures = list(run_result.with_status(Status.FAILED))
    assert {result.requirement.parameter for result in failures} == {"species"}
    assert failures[0].message.count(";") <= 2
    assert "list Patient {species: " in failures[0].message
    assert "; the same without species: not implemented? [" in failures[0].message


def test_parameter_with_another_effect_is_implemented(open_session: OpenSession) -> None:
    session = open_session(mutant("filter/listPatients/insured incomplete"))
    session.update_options(reduction_requests=200)
    run_result = run(session, [model_list], [CLINIC.operations["listPatients"]], lambda result: None)
    failures = list(run_result.with_status(Status.FAILED))
    assert failures
    assert not any("not implemented" in failure.message for failure in failures)
