"""For each law of the suite a fault of a foreign contract's server, told of by that law and by its name.

A law that no row breaks fails here: nothing would show that it can find anything. Which fault breaks which law is a
fact about the clinic, and stands in the tables; the laws, the run and the mutants know no name of it.
"""

import pytest

from conformance.checks import CHECKS
from conformance.checks.support.check import Check
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult
from tests.conformance import clinic_faults as faults
from tests.conformance.clinic import Row, judged, mutant, planted
from tests.conformance.clinic_faults import asking, showing, showing_data

BY_ID = {law.id: law for law in CHECKS}

# Mutants of the pool, as they are derived from the contract.
MUTANTS: tuple[Row, ...] = (
    Row("page-size-respected", "listWards", mutant("page-size/listWards/ignored")),
    Row(
        "pages-are-complete",
        "listWards",
        mutant("page/listWards/begins with the last row of the one before"),
    ),
    Row("pagination-metadata-correct", "listPatients", mutant("page-meta/listPatients/last-item wrong")),
    Row("page-past-end-is-empty", "listWards", mutant("page/listWards/after the last is the first")),
    Row("sort-order-respected", "listTreatments", mutant("order/listTreatments/ignored")),
    Row("descending-reverses-ascending", "listTreatments", mutant("order/listTreatments/direction ignored")),
    Row("list-is-repeatable", "listWards", mutant("order/listWards/differs each time")),
    Row("filter-excludes-non-matches", "listPatients", mutant("filter/listPatients/practice_uuid ignored")),
    Row("filter-includes-all-matches", "listPatients", mutant("filter/listPatients/born_from incomplete")),
    Row("combined-filters-intersect", "listPatients", mutant("filter/listPatients/species ignored")),
    Row("search-includes-all-matches", "listPatients", mutant("search/listPatients/finds nothing")),
    Row("search-excludes-non-matches", "listPatients", mutant("search/listPatients/ignored")),
    Row("page-links-keep-query", "listWards", mutant("page-links/listWards/next loses the query")),
    Row("include-embeds-requested", "listTreatments", mutant("include/listTreatments/with left out")),
    Row("include-embeds-only-requested", "listTreatments", mutant("include/listTreatments/with ignored")),
    Row("embedded-matches-retrieved", "listTreatments", mutant("embedding/listTreatments/patient.name is stale")),
    Row("unauthenticated-access-denied", "listPractices", mutant("auth-any-token/listPractices/let in")),
    Row("unauthenticated-is-401", "deleteReferral", mutant("auth-none/deleteReferral/let in")),
    Row("tenant-isolation", "retrieveWard", mutant("auth-other-tenant/retrieveWard/let in")),
    Row("unknown-record-is-404", "retrievePractice", mutant("status-refusal/retrievePractice/400 for 404")),
    Row("unsupported-method-is-405", "listPractices", mutant("allow/listPractices/Allow without GET")),
    Row("malformed-json-is-400", "createTreatment", mutant("status-refusal/createTreatment/418 for 400")),
    Row("invalid-parameter-is-422", "listWards", mutant("validation-query/listWards/page without minimum")),
    Row("invalid-field-is-422", "createPatient", mutant("error-field/createPatient/names another field")),
    Row("logout-revokes-token", "closeSession", mutant("auth-after-logout/closeSession/let in")),
    Row("valid-parameter-accepted", "listTreatments", mutant("valid-refused/listTreatments/status of stopped")),
    Row("valid-field-not-reported", "referPatient", mutant("valid-refused/referPatient/permission of write")),
    Row("valid-body-accepted", "createPatient", mutant("valid-refused/createPatient/species of parrot")),
    Row("reads-have-no-side-effects", "retrievePatient", mutant("reading/retrievePatient/changes name")),
    Row("create-is-stored", "createWard", mutant("create/createWard/lost")),
    Row("create-adds-one-record", "createPatient", mutant("create/createPatient/twice")),
    Row("text-round-trip", "createTreatment", mutant("text/createTreatment/reason without line ends")),
    Row("child-listed-by-parent", "createPatient", mutant("filter/listPatients/practice_uuid incomplete")),
    Row("update-changes-only-sent-fields", "updatePatient", mutant("update/updatePatient/story not stored")),
    Row(
        "rejected-write-has-no-effect",
        "updateTreatment",
        mutant("refused-write/updateTreatment/applied but for the wrong field"),
    ),
    Row(
        "created-timestamp-constant",
        "updateTreatment",
        mutant("created-stamp/updateTreatment/created_at is updated_at"),
    ),
    Row(
        "updated-timestamp-advances",
        "updateTreatment",
        mutant("updated-stamp/updateTreatment/updated_at is created_at"),
    ),
    Row(
        "writes-leave-others-unchanged",
        "updateTreatment",
        mutant("frame/updateTreatment/update changes another too"),
    ),
    Row("writes-leave-others-unchanged", "deletePatient", mutant("frame/deletePatient/deletes another too")),
    Row("delete-removes-record", "deleteTreatment", mutant("delete/deleteTreatment/still there to list")),
    Row("references-resolve", "retrieveTreatment", mutant("reference/retrieveTreatment/ward leads nowhere")),
    Row(
        "relation-count-follows-writes",
        "createTreatment",
        mutant("stale-read/retrievePatient/retrieve answers what it did first"),
    ),
    Row("on-delete-rule-applied", "deleteWard", mutant("delete/deleteWard/deletes nothing")),
    Row("metric-matches-list", "countTreatments", mutant("metric/countTreatments/one too many")),
    Row("search-wildcards-are-literal", "listWards", mutant("search/listWards/misses the first")),
    Row(
        "no-server-error",
        "countTreatments",
        mutant("server-error/countTreatments/500 on every request that is granted"),
    ),
    Row("status-is-documented", "createWard", mutant("status-success/createWard/200 for 201")),
    Row("content-type-is-json", "listPractices", mutant("media-type/listPractices/text/html")),
    Row("response-matches-schema", "listPractices", mutant("page-links/listPractices/first gone")),
    Row(
        "no-server-error",
        "deleteWard",
        mutant("server-error/deleteWard/500 on every request that is granted"),
        ("delete-removes-record",),
    ),
    Row(
        "no-server-error",
        "stopTreatment",
        mutant("server-error/stopTreatment/500 on every request that is granted"),
        ("terminal-state-is-final",),
    ),
    Row("pagination-metadata-correct", "listPractices", mutant("page-meta/listPractices/last-page wrong")),
    Row("relation-count-correct", "listPatients", mutant("count/listPatients/with_count ignored")),
    Row("no-traceback", "listPractices", mutant("leak/listPractices/422 shows a trace"), ("invalid-parameter-is-422",)),
)

# What no mutant does, or only beside much else.
PLANTED: tuple[Row, ...] = (
    Row("total-independent-of-page-size", "listWards", planted(showing(faults.total_is_of_the_page), "listWards")),
    Row(
        "array-encodings-equivalent",
        "listPatients",
        planted(asking(faults.deaf_to_brackets), "listPatients"),
    ),
    Row("blank-parameter-ignored", "listPatients", planted(showing(faults.takes_a_blank_for_a_value), "listPatients")),
    Row("filtered-total-correct", "listPatients", planted(faults.total_is_of_all, "listPatients")),
    Row(
        "relation-count-correct",
        "listPatients",
        planted(showing(faults.counts_one_too_few("treatments_count")), "listPatients"),
    ),
    Row(
        "sort-by-update-time-correct", "listPatients", planted(asking(faults.sorts_by_when_it_was_made), "listPatients")
    ),
    Row("any-search-text-accepted", "listWards", planted(faults.fails_on_an_apostrophe, "listWards")),
    Row(
        "search-wildcards-are-literal",
        "listPatients",
        planted(asking(faults.takes_signs_for_patterns), "listPatients"),
    ),
    Row("search-hides-other-tenants", "listPatients", planted(asking(faults.searches_everywhere), "listPatients")),
    Row(
        "unsupported-media-type-is-415", "createPatient", planted(asking(faults.reads_any_media_type), "createPatient")
    ),
    Row("token-identifies-account", "whoseDesk", planted(asking(faults.is_always_the_first), "whoseDesk")),
    Row("creator-owns-record", "createPatient", planted(showing(faults.belongs_to_another), "createPatient")),
    Row("wrong-credentials-are-401", "openSession", planted(faults.takes_any_password, "openSession")),
    Row("login-token-works", "openSession", planted(faults.gives_no_token, "openSession")),
    Row("identifiers-are-unique", "createWard", planted(faults.answers_the_first_key, "createWard")),
    Row(
        "server-set-fields-protected",
        "createWard",
        planted(faults.takes_what_the_server_sets, "createWard", "retrieveWard"),
    ),
    Row("update-is-idempotent", "updateTreatment", planted(faults.adds_at_every_update, "updateTreatment")),
    Row("created-timestamp-correct", "createTreatment", planted(faults.is_in_another_zone, "createTreatment")),
    Row("updated-timestamp-monotonic", "updateTreatment", planted(faults.goes_back_in_time, "retrieveTreatment")),
    Row("references-resolve", "retrievePatient", planted(faults.is_nowhere, "retrieveWard")),
    Row(
        "relation-count-starts-at-zero",
        "createTreatment",
        planted(showing_data(treatments_count=lambda n: max(0, n - 1)), "retrievePatient"),
    ),
    Row(
        "on-delete-rule-applied",
        "deletePatient",
        planted(faults.forgets_nothing, "retrieveTreatment", "createTreatment"),
    ),
    Row("on-delete-rule-applied", "deleteWard", planted(faults.deletes_what_is_needed, "deleteWard")),
    Row(
        "embedded-follows-updates",
        "updatePatient",
        planted(faults.embeds_what_it_was, "createTreatment", "retrieveTreatment"),
    ),
    Row("action-result-is-stored", "stopTreatment", planted(showing_data(reason=str.swapcase), "stopTreatment")),
    Row(
        "action-result-concerns-record",
        "stopTreatment",
        planted(faults.shows_another_record, "stopTreatment"),
    ),
    Row("terminal-state-is-final", "stopTreatment", planted(faults.stops_again, "stopTreatment")),
    Row("sharing-grants-access", "referPatient", planted(faults.opens_nothing, "retrievePatient")),
    Row("unsharing-revokes-access", "referPatient", planted(faults.keeps_it_open, "retrievePatient")),
    Row("metric-follows-writes", "countTreatments", planted(faults.counts_once, "countTreatments")),
    Row(
        "metric-parts-add-up",
        "countTreatments",
        planted(showing(faults.total_is_of_more_than_its_parts), "countTreatments"),
    ),
    Row("unknown-path-is-404", "retrievePractice", faults.answers_any_path),
)
ROWS = (*MUTANTS, *PLANTED)


def tells(found: RunResult, row: Row) -> list[CheckResult]:
    """What a row's law calls broken of its operation; nothing else may be."""
    broken = list(found.with_status(Status.FAILED))
    said = {(o.requirement.check, o.requirement.operation) for o in broken}
    assert said == {(row.law, row.operation)}, [
        f"{o.requirement.fingerprint}: {o.status} {o.message}" for o in found.results
    ]
    return broken


@pytest.mark.parametrize("law", CHECKS, ids=lambda law: law.id)
def test_every_law_has_a_fault_that_it_finds(law: Check) -> None:
    assert law.id in {row.law for row in ROWS}


def test_every_row_names_a_law_and_an_operation_that_it_can_be_asked_of() -> None:
    api = faults.CLINIC
    assert [r for r in ROWS if not BY_ID[r.law].applies_to(api, api.operations[r.operation])] == []


def test_every_law_is_judged_and_kept_by_the_sound_server() -> None:
    found = judged(CHECKS)
    assert [
        f"{o.requirement.fingerprint}: {o.message}" for o in (*found.with_status(Status.FAILED), *found.flaky)
    ] == []
    assert {law.id for law in CHECKS} - {o.requirement.check for o in found.with_status(Status.PASSED)} == set()
    assert not found.records_not_deleted


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.law}-{n}" for n, row in enumerate(ROWS)])
def test_a_law_finds_its_fault(row: Row) -> None:
    found = judged([BY_ID[name] for name in (*row.beside, row.law)], [row.operation], row.fault)
    assert all(o.message and o.evidence for o in tells(found, row))
    assert not found.flaky


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=[f"{row.law}-{n}" for n, row in enumerate(ROWS)])
def test_the_whole_suite_tells_of_a_fault_by_that_law(row: Row) -> None:
    found = judged(CHECKS, None, row.fault)
    assert (row.law, row.operation) in {
        (o.requirement.check, o.requirement.operation) for o in found.with_status(Status.FAILED)
    }
