"""For each check a fault of the clinic server that makes this check fail, and only this check.

A check without a fault fails the test suite, because nothing would prove that it detects anything.
"""

import pytest

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.mutation.faults import change_request
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult
from tests.conformance import clinic_faults as faults
from tests.conformance.clinic import FaultCase, inject_fault, mutant, run_checks
from tests.conformance.clinic_faults import change_data, change_json

BY_ID = {check.id: check for check in CHECKS}

# Mutants that are derived from the contract.
MUTANT_CASES: tuple[FaultCase, ...] = (
    FaultCase("model-list", "listWards", mutant("page-size/listWards/ignored")),
    FaultCase(
        "model-list",
        "listWards",
        mutant("page/listWards/begins with the last row of the one before"),
    ),
    FaultCase("pagination-metadata-correct", "listPatients", mutant("page-meta/listPatients/last-item wrong")),
    FaultCase("model-list", "listWards", mutant("page/listWards/after the last is the first")),
    FaultCase("model-list", "listTreatments", mutant("order/listTreatments/ignored")),
    FaultCase("model-list", "listTreatments", mutant("order/listTreatments/direction ignored")),
    FaultCase("model-list", "listWards", mutant("order/listWards/differs each time")),
    FaultCase("model-list", "listPatients", mutant("filter/listPatients/practice_uuid ignored")),
    FaultCase("model-list", "listPatients", mutant("filter/listPatients/born_from incomplete")),
    FaultCase("model-list", "listPatients", mutant("filter/listPatients/species ignored")),
    FaultCase("model-list", "listPatients", mutant("search/listPatients/finds nothing")),
    FaultCase("model-list", "listPatients", mutant("search/listPatients/ignored")),
    FaultCase("page-links-keep-query", "listWards", mutant("page-links/listWards/next loses the query")),
    FaultCase("model-list", "listTreatments", mutant("include/listTreatments/with left out")),
    FaultCase("model-list", "listTreatments", mutant("include/listTreatments/with ignored")),
    FaultCase("embedded-matches-retrieved", "listTreatments", mutant("embedding/listTreatments/patient.name is stale")),
    FaultCase("unauthenticated-access-denied", "listPractices", mutant("auth-any-token/listPractices/let in")),
    FaultCase("unauthenticated-is-401", "deleteReferral", mutant("auth-none/deleteReferral/let in")),
    FaultCase("tenant-isolation", "retrieveWard", mutant("auth-other-tenant/retrieveWard/let in")),
    FaultCase("unknown-record-is-404", "retrievePractice", mutant("status-refusal/retrievePractice/400 for 404")),
    FaultCase("unsupported-method-is-405", "listPractices", mutant("allow/listPractices/Allow without GET")),
    FaultCase("malformed-json-is-400", "createTreatment", mutant("status-refusal/createTreatment/418 for 400")),
    FaultCase("invalid-parameter-is-422", "listWards", mutant("validation-query/listWards/page without minimum")),
    FaultCase("invalid-field-is-422", "createPatient", mutant("error-field/createPatient/names another field")),
    FaultCase("logout-revokes-token", "closeSession", mutant("auth-after-logout/closeSession/let in")),
    FaultCase("valid-parameter-accepted", "listTreatments", mutant("valid-refused/listTreatments/status of stopped")),
    FaultCase("valid-field-not-reported", "referPatient", mutant("valid-refused/referPatient/permission of write")),
    FaultCase("valid-body-accepted", "createPatient", mutant("valid-refused/createPatient/species of parrot")),
    FaultCase("model-retrieve", "retrievePatient", mutant("reading/retrievePatient/changes name")),
    FaultCase("model-create", "createWard", mutant("create/createWard/lost")),
    FaultCase("create-adds-one-record", "createPatient", mutant("create/createPatient/twice")),
    FaultCase("model-create", "createTreatment", mutant("text/createTreatment/reason without line ends")),
    FaultCase("model-list", "listPatients", mutant("filter/listPatients/practice_uuid incomplete")),
    FaultCase("model-update", "updatePatient", mutant("update/updatePatient/story not stored")),
    FaultCase(
        "rejected-write-has-no-effect",
        "updateTreatment",
        mutant("refused-write/updateTreatment/applied but for the wrong field"),
    ),
    FaultCase(
        "created-timestamp-constant",
        "updateTreatment",
        mutant("created-stamp/updateTreatment/created_at is updated_at"),
    ),
    FaultCase(
        "updated-timestamp-advances",
        "updateTreatment",
        mutant("updated-stamp/updateTreatment/updated_at is created_at"),
    ),
    FaultCase(
        "model-update",
        "updateTreatment",
        mutant("frame/updateTreatment/update changes another too"),
    ),
    FaultCase("model-delete", "deletePatient", mutant("frame/deletePatient/deletes another too")),
    FaultCase("model-list", "listTreatments", mutant("delete/deleteTreatment/still there to list")),
    FaultCase("model-create", "createTreatment", mutant("reference/retrieveTreatment/ward leads nowhere")),
    FaultCase(
        "model-create",
        "createTreatment",
        mutant("stale-read/retrievePatient/retrieve answers what it did first"),
    ),
    FaultCase("model-delete", "deleteWard", mutant("delete/deleteWard/deletes nothing")),
    FaultCase("metric-matches-list", "countTreatments", mutant("metric/countTreatments/one too many")),
    FaultCase("model-list", "listWards", mutant("search/listWards/misses the first")),
    FaultCase(
        "no-server-error",
        "countTreatments",
        mutant("server-error/countTreatments/500 on every request that is granted"),
    ),
    FaultCase("status-is-documented", "createWard", mutant("status-success/createWard/200 for 201")),
    FaultCase("content-type-is-json", "listPractices", mutant("media-type/listPractices/text/html")),
    FaultCase("response-matches-schema", "listPractices", mutant("page-links/listPractices/first gone")),
    FaultCase(
        "no-server-error",
        "deleteWard",
        mutant("server-error/deleteWard/500 on every request that is granted"),
        ("model-delete",),
    ),
    FaultCase(
        "no-server-error",
        "stopTreatment",
        mutant("server-error/stopTreatment/500 on every request that is granted"),
        ("terminal-state-is-final",),
    ),
    FaultCase("pagination-metadata-correct", "listPractices", mutant("page-meta/listPractices/last-page wrong")),
    FaultCase("relation-count-correct", "listPatients", mutant("count/listPatients/with_count ignored")),
    FaultCase(
        "no-traceback", "listPractices", mutant("leak/listPractices/422 shows a trace"), ("invalid-parameter-is-422",)
    ),
)

# Faults that no mutant has, or only together with other faults.
INJECTED_CASES: tuple[FaultCase, ...] = (
    FaultCase("model-list", "listWards", inject_fault(change_json(faults.report_page_total), "listWards")),
    FaultCase(
        "array-encodings-equivalent",
        "listPatients",
        inject_fault(change_request(faults.ignore_bracketed_arrays), "listPatients"),
    ),
    FaultCase(
        "blank-parameter-ignored", "listPatients", inject_fault(change_json(faults.filter_by_blank), "listPatients")
    ),
    FaultCase("model-list", "listPatients", inject_fault(faults.report_unfiltered_total, "listPatients")),
    FaultCase(
        "relation-count-correct",
        "listPatients",
        inject_fault(change_json(faults.decrease_count("treatments_count")), "listPatients"),
    ),
    FaultCase(
        "model-list",
        "listPatients",
        inject_fault(change_request(faults.sort_by_creation_time), "listPatients"),
    ),
    FaultCase("any-search-text-accepted", "listWards", inject_fault(faults.fail_on_apostrophe, "listWards")),
    FaultCase(
        "model-list",
        "listPatients",
        inject_fault(change_request(faults.use_wildcards), "listPatients"),
    ),
    FaultCase(
        "search-hides-other-tenants",
        "listPatients",
        inject_fault(change_request(faults.search_all_tenants), "listPatients"),
    ),
    FaultCase(
        "unsupported-media-type-is-415",
        "createPatient",
        inject_fault(change_request(faults.accept_any_media_type), "createPatient"),
    ),
    FaultCase(
        "token-identifies-account", "whoseDesk", inject_fault(change_request(faults.return_first_account), "whoseDesk")
    ),
    FaultCase(
        "creator-owns-record", "createPatient", inject_fault(change_json(faults.return_another_owner), "createPatient")
    ),
    FaultCase("wrong-credentials-are-401", "openSession", inject_fault(faults.accept_any_password, "openSession")),
    FaultCase("login-token-works", "openSession", inject_fault(faults.return_unknown_token, "openSession")),
    FaultCase("model-create", "createWard", inject_fault(faults.return_first_key, "createWard")),
    FaultCase(
        "model-create",
        "createWard",
        inject_fault(faults.accept_server_set_fields, "createWard", "retrieveWard"),
    ),
    FaultCase("model-update", "updateTreatment", inject_fault(faults.increase_at_every_update, "updateTreatment")),
    FaultCase(
        "created-timestamp-correct", "createTreatment", inject_fault(faults.shift_date_header, "createTreatment")
    ),
    FaultCase(
        "updated-timestamp-monotonic", "updateTreatment", inject_fault(faults.decrease_update_time, "retrieveTreatment")
    ),
    FaultCase("model-create", "createWard", inject_fault(faults.hide_referenced_record, "retrieveWard")),
    FaultCase(
        "model-create",
        "createTreatment",
        inject_fault(change_data(treatments_count=lambda n: max(0, n - 1)), "retrievePatient"),
    ),
    FaultCase(
        "model-delete",
        "deletePatient",
        inject_fault(faults.keep_created_records, "retrieveTreatment", "createTreatment"),
    ),
    FaultCase("model-delete", "deleteWard", inject_fault(faults.confirm_restricted_delete, "deleteWard")),
    FaultCase(
        "model-update",
        "updatePatient",
        inject_fault(faults.embed_first_version, "createTreatment", "retrieveTreatment"),
    ),
    FaultCase(
        "model-sequence",
        "createWard",
        inject_fault(faults.change_name_after_delete, "createWard", "deleteWard"),
    ),
    FaultCase(
        "action-result-is-stored", "stopTreatment", inject_fault(change_data(reason=str.swapcase), "stopTreatment")
    ),
    FaultCase(
        "action-result-concerns-record",
        "stopTreatment",
        inject_fault(faults.return_another_record, "stopTreatment"),
    ),
    FaultCase("terminal-state-is-final", "stopTreatment", inject_fault(faults.accept_second_stop, "stopTreatment")),
    FaultCase("sharing-grants-access", "referPatient", inject_fault(faults.hide_shared_records, "retrievePatient")),
    FaultCase(
        "unsharing-revokes-access", "referPatient", inject_fault(faults.keep_shared_records_visible, "retrievePatient")
    ),
    FaultCase("metric-follows-writes", "countTreatments", inject_fault(faults.return_first_metric, "countTreatments")),
    FaultCase(
        "metric-parts-add-up",
        "countTreatments",
        inject_fault(change_json(faults.increase_total), "countTreatments"),
    ),
    FaultCase("unknown-path-is-404", "retrievePractice", faults.serve_unknown_paths),
)
FAULT_CASES = (*MUTANT_CASES, *INJECTED_CASES)


def find_expected_failures(run_result: RunResult, case: FaultCase) -> list[CheckResult]:
    """Return the failures, which must all be of the expected check and operation."""
    failures = list(run_result.with_status(Status.FAILED))
    locations = {(o.requirement.check, o.requirement.operation) for o in failures}
    assert locations == {(case.check_id, case.operation)}, [
        f"{o.requirement.fingerprint}: {o.status} {o.message}" for o in run_result.results
    ]
    return failures


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_every_check_has_a_fault(check: Check) -> None:
    assert check.id in {case.check_id for case in FAULT_CASES}


def test_every_check_applies_to_the_operation_of_its_fault() -> None:
    contract = faults.CLINIC
    assert [
        case
        for case in FAULT_CASES
        if not BY_ID[case.check_id].applies_to(contract, contract.operations[case.operation])
    ] == []


def test_every_check_passes_without_a_fault() -> None:
    run_result = run_checks(CHECKS)
    assert [
        f"{o.requirement.fingerprint}: {o.message}" for o in (*run_result.with_status(Status.FAILED), *run_result.flaky)
    ] == []
    assert {check.id for check in CHECKS} - {
        o.requirement.check for o in run_result.with_status(Status.PASSED)
    } == set()
    assert not run_result.records_not_deleted


@pytest.mark.parametrize("case", FAULT_CASES, ids=[f"{case.check_id}-{n}" for n, case in enumerate(FAULT_CASES)])
def test_check_fails_for_its_fault(case: FaultCase) -> None:
    run_result = run_checks([BY_ID[name] for name in (*case.provided_by, case.check_id)], [case.operation], case.fault)
    assert all(o.message and o.evidence for o in find_expected_failures(run_result, case))
    assert not run_result.flaky


@pytest.mark.slow
@pytest.mark.parametrize("case", FAULT_CASES, ids=[f"{case.check_id}-{n}" for n, case in enumerate(FAULT_CASES)])
def test_check_fails_for_its_fault_in_a_run_of_all_checks(case: FaultCase) -> None:
    run_result = run_checks(CHECKS, None, case.fault)
    assert (case.check_id, case.operation) in {
        (o.requirement.check, o.requirement.operation) for o in run_result.with_status(Status.FAILED)
    }
