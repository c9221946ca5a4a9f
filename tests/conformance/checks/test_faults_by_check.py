"""For each check a fault of the clinic server that makes this check fail, and only this check.

A check without a fault fails the test suite, because nothing would prove that it detects anything.
"""

from dataclasses import dataclass

import pytest

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.mutation.faults import (
    MakeFault,
    change_body,
    change_json,
    change_request,
    change_response,
    change_value,
    increment,
    on_status,
    set_status,
    stateless,
)
from conformance.results import CheckResult, Requirement, Status
from conformance.runner.runner import RunResult
from tests.conformance.support import articles_server
from tests.conformance.support import clinic_faults as faults
from tests.conformance.support.clinic import inject_fault, mutant, run_checks
from tests.conformance.support.clinic_faults import AppWrapper

UNKNOWN_UUID = "00000000-0000-4000-8000-0000000dead0"
BY_ID = {check.id: check for check in CHECKS}


@dataclass(frozen=True, slots=True)
class FaultCase:
    """A fault and the (check, operation) that must fail.

    `provided_by`: checks whose requests trigger it, if the check evaluates responses only. `parameter`: one of those
    that the check must report; None: any.
    """

    check_id: str
    operation: str
    fault: AppWrapper
    provided_by: tuple[str, ...] = ()
    parameter: str | None = None


def mutant_case(
    check_id: str,
    mutant_id: str,
    *,
    operation: str = "",
    provided_by: tuple[str, ...] = (),
    parameter: str | None = None,
) -> FaultCase:
    """A mutant. `operation`: that of the failure, if it is not the operation of the mutant."""
    return FaultCase(check_id, operation or mutant_id.split("/")[1], mutant(mutant_id), provided_by, parameter)


def fault_case(
    check_id: str,
    make_fault: MakeFault,
    *operations: str,
    operation: str = "",
    provided_by: tuple[str, ...] = (),
    parameter: str | None = None,
) -> FaultCase:
    """A fault in `operations`. `operation`: that of the failure, if it is not the first of them."""
    fault = inject_fault(make_fault, *operations)
    return FaultCase(check_id, operation or operations[0], fault, provided_by, parameter)


# Mutants that are derived from the contract.
MUTANT_CASES: tuple[FaultCase, ...] = (
    mutant_case("model-list", "page-size/listWards/ignored"),
    mutant_case("model-list", "page/listWards/begins with the last row of the one before"),
    mutant_case("pagination-metadata-correct", "page-meta/listPatients/last-item wrong"),
    mutant_case("model-list", "page/listWards/after the last is the first"),
    mutant_case("model-list", "order/listTreatments/ignored"),
    mutant_case("model-list", "order/listTreatments/direction ignored"),
    mutant_case("model-list", "order/listWards/differs each time"),
    mutant_case("model-list", "filter/listPatients/practice_uuid ignored"),
    mutant_case("model-list", "filter/listPatients/born_from incomplete"),
    mutant_case("model-list", "filter/listPatients/species ignored"),
    mutant_case("model-list", "search/listPatients/finds nothing"),
    mutant_case("model-list", "search/listPatients/ignored"),
    mutant_case("page-links-keep-query", "page-links/listWards/next loses the query"),
    mutant_case("model-list", "include/listTreatments/with left out"),
    mutant_case("model-list", "include/listTreatments/with ignored"),
    mutant_case("model-list", "embedding/listTreatments/patient.name is stale"),
    mutant_case("unauthenticated-access-denied", "auth-any-token/listPractices/let in"),
    mutant_case("unauthenticated-is-401", "auth-none/deleteReferral/let in"),
    mutant_case("derived-token-denied", "auth-derived-token/createWard/accepts the token without its last character"),
    mutant_case("refused-request-has-no-effect", "refused-request/createTreatment/applied in spite of 400"),
    mutant_case("refused-request-has-no-effect", "refused-request/updatePatient/applied in spite of 415"),
    mutant_case("refused-request-has-no-effect", "refused-request/deletePatient/applied in spite of 401"),
    mutant_case(
        "server-owned-property-not-assignable",
        "mass-assignment/updatePatient/stores treatments_count",
        parameter="treatments_count",
    ),
    mutant_case(
        "server-owned-property-not-assignable",
        "mass-assignment/updatePatient/stores the owner vet_id",
        parameter="access",
    ),
    mutant_case("tenant-isolation", "auth-other-tenant/retrieveWard/let in"),
    mutant_case("unknown-record-is-404", "status-refusal/retrievePractice/400 for 404"),
    mutant_case("unsupported-method-is-405", "allow/listPractices/Allow without GET"),
    mutant_case("malformed-json-is-400", "status-refusal/createTreatment/418 for 400"),
    mutant_case("invalid-parameter-is-422", "validation-query/listWards/page without minimum"),
    mutant_case("invalid-field-is-422", "error-field/createPatient/names another field"),
    mutant_case("logout-revokes-token", "auth-after-logout/closeSession/let in"),
    mutant_case("logout-revokes-token", "auth-session/closeSession/survives the logout", parameter="session ended"),
    mutant_case(
        "unauthenticated-access-denied", "auth-any-session/whoAmI/let in", parameter="an unknown cookie credential"
    ),
    mutant_case("session-needs-csrf-token", "auth-csrf/createWard/let in"),
    mutant_case("alternative-credential-accepted", "auth-header/whoAmI/desk ignored", parameter="desk"),
    mutant_case("valid-parameter-accepted", "valid-refused/listTreatments/status of stopped"),
    mutant_case("valid-field-not-reported", "valid-refused/referPatient/permission of write"),
    mutant_case("valid-body-accepted", "valid-refused/createPatient/species of parrot"),
    mutant_case("model-retrieve", "reading/retrievePatient/changes name"),
    mutant_case("model-create", "create/createWard/lost"),
    mutant_case("create-adds-one-record", "create/createPatient/twice"),
    mutant_case("model-create", "text/createTreatment/reason without line ends"),
    mutant_case("model-list", "filter/listPatients/practice_uuid incomplete"),
    mutant_case("model-update", "update/updatePatient/story not stored"),
    mutant_case("rejected-write-has-no-effect", "refused-write/updateTreatment/applied but for the wrong field"),
    mutant_case("created-timestamp-constant", "created-stamp/updateTreatment/created_at is updated_at"),
    mutant_case("updated-timestamp-advances", "updated-stamp/updateTreatment/updated_at is created_at"),
    mutant_case("model-update", "frame/updateTreatment/update changes another too"),
    mutant_case("model-delete", "frame/deletePatient/deletes another too"),
    mutant_case("model-list", "delete/deleteTreatment/still there to list", operation="listTreatments"),
    mutant_case("model-create", "reference/retrieveTreatment/ward leads nowhere", operation="createTreatment"),
    mutant_case(
        "model-create", "stale-read/retrievePatient/retrieve answers what it did first", operation="createTreatment"
    ),
    mutant_case("model-delete", "delete/deleteWard/deletes nothing"),
    mutant_case("metric-matches-list", "metric/countTreatments/one too many"),
    mutant_case("model-list", "search/listWards/misses the first"),
    mutant_case("no-server-error", "server-error/countTreatments/500 on every request that is granted"),
    mutant_case("status-is-documented", "status-success/createWard/200 for 201"),
    mutant_case("content-type-is-json", "media-type/listPractices/text/html"),
    mutant_case("response-matches-schema", "page-links/listPractices/first gone"),
    mutant_case(
        "no-server-error", "server-error/deleteWard/500 on every request that is granted", provided_by=("model-delete",)
    ),
    mutant_case(
        "no-server-error",
        "server-error/stopTreatment/500 on every request that is granted",
        provided_by=("terminal-state-is-final",),
    ),
    mutant_case("pagination-metadata-correct", "page-meta/listPractices/last-page wrong"),
    mutant_case("model-list", "count/listPatients/with_count ignored"),
    mutant_case("no-traceback", "leak/listPractices/422 shows a trace", provided_by=("invalid-parameter-is-422",)),
    mutant_case("unauthenticated-access-denied", "auth-other-scheme/retrieveWard/let in", parameter="another scheme"),
    mutant_case("unauthenticated-access-denied", "auth-other-scheme/deleteWard/let in", parameter="another scheme"),
    mutant_case("unauthenticated-is-401", "status-refusal/deleteReferral/403 for 401", parameter="no token"),
    mutant_case("wrong-credentials-are-401", "status-refusal/openSession/403 for 401", parameter="unknown login"),
    mutant_case("wrong-credentials-are-401", "status-refusal/openSession/403 for 401", parameter="wrong password"),
    mutant_case("tenant-isolation", "auth-other-tenant/updatePatient/let in"),
    mutant_case("tenant-isolation", "auth-other-tenant/deleteWard/let in"),
    mutant_case("tenant-isolation", "auth-other-tenant/stopTreatment/let in"),
    mutant_case("response-matches-schema", "schema-drop/listPatients/data.*.updated_at"),
)

# Faults that no mutant has, or only together with other faults.
INJECTED_CASES: tuple[FaultCase, ...] = (
    fault_case("model-list", faults.report_page_total, "listWards"),
    fault_case("array-encodings-equivalent", change_request(faults.ignore_bracketed_arrays), "listPatients"),
    fault_case("blank-parameter-ignored", change_json(faults.filter_by_blank), "listPatients"),
    fault_case("model-list", faults.report_unfiltered_total, "listPatients"),
    fault_case("model-list", change_json(faults.decrease_count("treatments_count")), "listPatients"),
    fault_case("model-list", faults.sort_by_creation_time, "listPatients"),
    fault_case("any-search-text-accepted", faults.fail_on_apostrophe, "listWards"),
    fault_case("model-list", faults.use_wildcards, "listPatients"),
    fault_case("search-hides-other-tenants", faults.search_all_tenants, "listPatients"),
    fault_case("unsupported-media-type-is-415", faults.accept_any_media_type, "createPatient"),
    fault_case("token-identifies-account", faults.return_first_account, "whoseDesk"),
    fault_case("model-create", faults.return_another_owner, "createPatient"),
    fault_case("wrong-credentials-are-401", faults.accept_any_password, "openSession"),
    fault_case(
        "embedded-matches-retrieved",
        change_value(lambda home: {**home, "name": "of old"}, ("data", "home")),
        "whoseDesk",
    ),
    fault_case(
        "embedded-matches-retrieved",
        change_value(lambda home: {**home, "uuid": UNKNOWN_UUID}, ("data", "home")),
        "whoseDesk",
    ),
    fault_case("login-token-works", change_value(lambda token: token[::-1], ("data", "token")), "openSession"),
    fault_case("model-create", faults.return_first_key, "createWard"),
    fault_case("model-create", faults.accept_server_set_fields, "createWard", "retrieveWard"),
    fault_case("model-update", faults.increase_at_every_update, "updateTreatment"),
    fault_case("created-timestamp-correct", faults.shift_date_header(-2), "createTreatment"),
    fault_case(
        "updated-timestamp-advances", faults.decrease_update_time, "retrieveTreatment", operation="updateTreatment"
    ),
    fault_case(
        "updated-timestamp-advances",
        change_value(lambda _: "2099-01-01T00:00:00Z", ("data", "updated_at")),
        "updateTreatment",
    ),
    fault_case("model-create", faults.hide_referenced_record, "retrieveWard", operation="createWard"),
    fault_case(
        "model-create",
        change_value(lambda n: max(0, n - 1), ("data", "treatments_count")),
        "retrievePatient",
        operation="createTreatment",
    ),
    fault_case(
        "model-delete", faults.keep_created_records, "retrieveTreatment", "createTreatment", operation="deletePatient"
    ),
    fault_case("model-delete", faults.confirm_restricted_delete, "deleteWard"),
    fault_case(
        "model-update", faults.embed_first_version, "createTreatment", "retrieveTreatment", operation="updatePatient"
    ),
    fault_case("model-sequence", faults.change_name_after_delete, "createWard", "deleteWard"),
    fault_case("action-result-is-stored", change_value(str.swapcase, ("data", "reason")), "stopTreatment"),
    fault_case("action-result-concerns-record", faults.return_another_record, "stopTreatment"),
    fault_case("terminal-state-is-final", faults.accept_second_stop, "stopTreatment"),
    fault_case(
        "update-keeps-results-of-actions", faults.reset_status_by_update, "updateTreatment", "retrieveTreatment"
    ),
    fault_case("sharing-grants-access", faults.hide_shared_records, "retrievePatient", operation="referPatient"),
    fault_case(
        "unsharing-revokes-access", faults.keep_shared_records_visible, "retrievePatient", operation="referPatient"
    ),
    fault_case("metric-follows-writes", faults.return_first_metric, "countTreatments"),
    fault_case("metric-parts-add-up", faults.increase_total, "countTreatments"),
    fault_case("unknown-parameter-ignored", faults.reject_unknown_parameters, "listWards"),
    FaultCase("unknown-path-is-404", "retrievePractice", faults.serve_unknown_paths),
    fault_case("pagination-metadata-correct", faults.round_last_page_down, "listPatients", parameter="meta.pages"),
    fault_case("pagination-metadata-correct", faults.link_page_before_first, "listPatients", parameter="links.before"),
    fault_case("pagination-metadata-correct", faults.link_first_page_as_last, "listPatients", parameter="links.last"),
    fault_case("page-links-have-the-request-host", faults.link_configured_host, "listPatients"),
    fault_case("page-links-keep-query", faults.drop_from_links("size"), "listPatients", parameter="links.first"),
    fault_case("page-links-keep-query", faults.drop_from_links("direction"), "listPatients", parameter="links.first"),
    fault_case("page-links-keep-query", faults.drop_from_links("ward_uuid"), "listPatients", parameter="links.last"),
    fault_case("model-list", change_request(faults.exclude_last_day), "listPatients", parameter="born_to"),
    fault_case("model-list", faults.use_first_filter_only("has_treatments", "insured"), "listPatients"),
    fault_case("model-list", faults.ignore_upper_case_terms, "listPatients", parameter="search"),
    fault_case("search-hides-other-tenants", faults.filter_all_tenants, "listTreatments"),
    fault_case("tenant-isolation", faults.return_first_account, "listWards"),
    fault_case("tenant-isolation", faults.return_first_account, "createTreatment"),
    fault_case(
        "unauthenticated-access-denied",
        faults.ignore_logout,
        "closeSession",
        operation="listWards",
        parameter="a logged-out token",
    ),
    fault_case("unsupported-media-type-is-415", on_status(415, set_status(422)), "updatePatient"),
    fault_case(
        "no-traceback",
        on_status(404, faults.expose_exception),
        "retrievePatient",
        provided_by=("tenant-isolation",),
    ),
    fault_case(
        "token-identifies-account", change_value(lambda key: key + 1, ("data", "id")), "whoseDesk", parameter="self"
    ),
    fault_case("login-token-works", change_value(lambda token: faults.OTHER_TOKEN, ("data", "token")), "openSession"),
    fault_case("model-create", faults.drop_field("story"), "createPatient", parameter="story"),
    fault_case("text-stored-as-sent", faults.trim_texts, "createTreatment", parameter="reason"),
    fault_case("text-stored-as-sent", faults.trim_texts, "updatePatient", parameter="story"),
    fault_case("near-valid-field-is-rejected", faults.convert_insured, "createPatient", parameter="insured type"),
    fault_case("near-valid-field-is-rejected", faults.convert_day, "updatePatient", parameter="born format"),
    fault_case(
        "near-valid-parameter-is-rejected", faults.convert_day_of_query, "listPatients", parameter="born_from format"
    ),
    fault_case(
        "updated-timestamp-covers-parts",
        faults.keep_update_time_of("insured"),
        "updatePatient",
        "retrievePatient",
        parameter="updated_at insured",
    ),
    fault_case("model-delete", faults.restrict_delete, "deletePatient", parameter="delete"),
    fault_case("model-retrieve", faults.change_update_time_on_read, "retrievePatient", parameter="updated_at"),
    fault_case(
        "rejected-write-has-no-effect", faults.write_without_authorization, "updatePatient", parameter="anonymous"
    ),
    fault_case(
        "created-timestamp-constant", faults.set_created_at_update, "retrieveTreatment", operation="updateTreatment"
    ),
    fault_case("created-timestamp-correct", faults.shift_date_header(5.5), "createTreatment"),
    fault_case(
        "terminal-state-is-final", faults.run_after_stop, "stopTreatment", "retrieveTreatment", parameter="stays"
    ),
    fault_case(
        "sharing-grants-access",
        faults.act_as_owner_if(bool),
        "updatePatient",
        operation="referPatient",
        parameter="read-only",
    ),
    fault_case(
        "sharing-grants-access",
        faults.act_as_owner_if(bool),
        "retrievePatient",
        operation="referPatient",
        parameter="before",
    ),
    fault_case("metric-matches-list", faults.drop_field("patient_uuid"), "countTreatments"),
    fault_case("model-list", faults.prefer_filter("ward_name", "ward_uuid"), "listPatients", parameter="ward_uuid"),
    fault_case("model-list", lambda: faults.filter_by_part("ward_name", "Ward"), "listPatients", parameter="ward_name"),
    fault_case("lists-agree-on-defaults", faults.reverse_unsorted, "listTreatments"),
    fault_case("time-series-adds-up", faults.omit_empty_periods, "countTreatments", parameter="days"),
    fault_case("time-series-adds-up", faults.increase_total, "countTreatments", parameter="weekly total"),
    fault_case(
        "aggregate-matches-list",
        change_value(increment, ("data", "treatments_count")),
        "retrievePatient",
        parameter="treatments_count",
    ),
    fault_case(
        "aggregate-matches-list",
        change_value(increment, ("data", "patient", "open_count")),
        "retrieveTreatment",
        parameter="patient.open_count",
    ),
    fault_case(
        "action-is-counted",
        change_value(increment, ("data", "treatments_count")),
        "retrievePatient",
        operation="referPatient",
    ),
    fault_case("members-see-the-same-record", faults.show_as_head, "retrievePractice", parameter="is_head member"),
    fault_case(
        "embedded-records-are-visible", faults.embed_hidden_patient, "listTreatments", parameter="other patient"
    ),
    fault_case("conditional-count-agrees", faults.count_too_many_open, "listPatients", parameter="open_count"),
    fault_case("precondition-is-enforced", faults.accept_second_stop, "stopTreatment", parameter="status=stopped"),
    fault_case(
        "share-permissions-apply",
        faults.act_as_owner_if(bool),
        "deletePatient",
        operation="referPatient",
        parameter="default delete",
    ),
    fault_case(
        "share-permissions-apply",
        change_value(lambda _: "write", ("data", "permission")),
        "referPatient",
        parameter="default permission",
    ),
    fault_case(
        "action-result-has-sent-values",
        change_value(lambda _: "practice", ("data", "entity_type")),
        "referPatient",
        parameter="entity_type",
    ),
    fault_case("metric-hides-other-tenants", faults.return_first_account, "countTreatments"),
    fault_case("metric-hides-other-tenants", faults.count_all_if_filtered, "countTreatments"),
    fault_case(
        "metric-sum-matches-list",
        faults.ignore_calculation("accumulated_sum"),
        "countTreatments",
        parameter="cost",
    ),
    fault_case("members-see-the-same-record", faults.forbid_member, "retrieveWard", parameter="visible"),
    fault_case(
        "returned-references-are-retrievable",
        faults.forbid_member,
        "retrieveWard",
        operation="createWard",
        parameter="member data",
    ),
    fault_case("members-list-the-same-records", faults.hide_from_member, "listWards", parameter="rows"),
    *(
        fault_case(
            "member-reads-are-not-stale",
            faults.repeat_first_response_to_member,
            "retrievePatient",
            operation=write,
            parameter="retrieve",
        )
        for write in ("updatePatient", "deletePatient")
    ),
    fault_case(
        "member-reads-are-not-stale",
        faults.repeat_first_response_to_member,
        "listPatients",
        operation="updatePatient",
        parameter="list",
    ),
    fault_case("members-write-what-they-may", faults.forbid_member, "updatePatient", parameter="members"),
    fault_case(
        "foreign-reference-not-stored", faults.create_for_other_account, "createPatient", parameter="practice_uuid"
    ),
    fault_case("foreign-reference-is-refused", faults.drop_field("ward_uuid"), "createPatient", parameter="ward_uuid"),
    fault_case("malformed-key-is-client-error", faults.fail_on_quoted_key, "deleteWard", parameter="server error"),
    fault_case("all-invalid-fields-reported", faults.report_first_error, "createPatient"),
    fault_case(
        "unknown-reference-is-refused",
        faults.ignore_unknown_reference("ward_uuid"),
        "createTreatment",
        parameter="ward_uuid",
    ),
    fault_case(
        "metric-filter-affects-all-parts",
        faults.ignore_status_in_series,
        "countTreatments",
        parameter="calculation=accumulated_count status",
    ),
    fault_case(
        "metric-filter-values-add-up",
        change_body(faults.count_pending_as_stopped),
        "countTreatments",
        parameter="calculation=accumulated_count status",
    ),
    fault_case(
        "metric-filter-values-add-up",
        change_body(faults.prefer_patient),
        "countTreatments",
        parameter="calculation=accumulated_count patient_uuid + status",
    ),
    fault_case(
        "metric-filter-matches-list",
        faults.drop_field("patient_uuid"),
        "countTreatments",
        parameter="calculation=accumulated_count patient_uuid",
    ),
    fault_case(
        "metric-ranges-add-up",
        change_body(faults.end_before_last_day),
        "countTreatments",
        parameter="calculation=accumulated_count range",
    ),
    fault_case("metric-days-are-utc", change_body(faults.count_from_previous_day), "countTreatments"),
    fault_case(
        "time-series-periods-complete",
        change_json(faults.omit_february),
        "countTreatments",
        parameter="monthly past periods",
    ),
    fault_case(
        "refused-request-has-no-effect",
        faults.store_in_spite_of_unknown("ward_uuid"),
        "createTreatment",
        parameter="an unknown ward_uuid",
    ),
    fault_case("charset-of-request-accepted", faults.reject_charset, "createWard"),
    fault_case("charset-of-request-accepted", faults.reject_charset, "updatePatient"),
    fault_case("unauthenticated-is-401", faults.redirect_to_login, "listWards", parameter="no token, any media type"),
    fault_case("csrf-cookie-is-readable", change_response(faults.hide_csrf_cookie), "openSession"),
    fault_case("model-list", change_json(faults.search_first_characters), "listPatients", parameter="search"),
    fault_case("model-list", faults.sort_as_text("cost"), "listTreatments", parameter="sort=cost"),
    fault_case("model-list", faults.ignore_case_of_ascii_only, "listWards", parameter="search"),
    fault_case("model-retrieve", faults.touch_on_read, "retrievePatient", parameter="updated_at"),
    fault_case(
        "logout-revokes-token",
        faults.end_all_sign_ins,
        "closeSession",
        "openSession",
        "whoAmI",
        "whoseDesk",
        parameter="other sign-in",
    ),
    fault_case(
        "record-copies-agree",
        change_json(faults.rename_practice_in_later_rows),
        "listTreatments",
        parameter="patient.practice.name",
    ),
    fault_case(
        "record-copies-agree",
        change_json(faults.embed_one_treatment),
        "listPatients",
        parameter="treatments retrieved",
    ),
    fault_case("action-leaves-other-records", faults.stop_all_pending, "stopTreatment", parameter="another Treatment"),
    fault_case(
        "created-records-remain",
        faults.delete_after_read_of_member,
        "retrievePatient",
        provided_by=("members-see-the-same-record",),
    ),
    fault_case(
        "tenant-isolation-for-each-value",
        stateless(faults.show_horses_to_all),
        "retrievePatient",
        parameter="species=horse insured=True listed=False",
    ),
    fault_case(
        "member-update-changes-only-what-it-sends",
        faults.make_last_editor_the_owner,
        "updatePatient",
        "retrievePatient",
        parameter="vet",
    ),
    fault_case(
        "login-expiry-is-in-the-future",
        change_value(lambda _: "2026-01-01T00:00:00Z", ("data", "expires_at")),
        "openSession",
        parameter="expires_at",
    ),
)
FAULT_CASES = (*MUTANT_CASES, *INJECTED_CASES)
# Checks of what the clinic's contract does not declare; their faults are those of another server.
CHECKS_OF_ARTICLES = {check_id for check_id, _ in (*articles_server.BUGS.values(), *articles_server.RACES.values())}
# Their faults are in test_check_results.py, test_action_values.py and test_tenancy.py: only Athena's contract has
# such operations.
CHECKS_OF_OTHER_CONTRACTS = {
    *CHECKS_OF_ARTICLES,
    "placeholder-value-unchanged",
    "account-unchanged-by-reads",
    "action-uses-referenced-record",
    "array-items-create-records",
    "average-agrees-with-sum",
    "counted-action-has-a-time",
    "delete-spares-records-of-other-tenants",
    "equivalent-filters-agree",
    "filtered-ranking-is-subset",
    "date-time-keeps-fraction",
    "list-covers-all-tenants",
    "many-related-records-are-stored",
    "metric-counts-actions-of-its-resource",
    "metric-follows-updates",
    "metric-total-unchanged-by-grouping",
    "ranking-hides-other-tenants",
    "repeated-action-advances-time",
    "state-has-its-time",
    "time-series-sum-adds-up",
}


# The model attributes faults of these writes to the reads after them too, which it should not.
WRITES_REPORTED_BY_READS = ("deletePatient", "createTreatment", "deleteWard", "createWard")
# The fault depends on the requests before, so that one of its failures passes in the rerun.
UNSTEADY_FAULT = ("model-list", "listPatients")


def _is_read_after_write(requirement: Requirement, operation: str) -> bool:
    """Whether the model compared a read, and the fault is in a write that reads report too."""
    is_read = faults.CLINIC.operations[requirement.operation].method == "get"
    return is_read and requirement.check.startswith("model-") and operation in WRITES_REPORTED_BY_READS


def find_expected_failures(run_result: RunResult, case: FaultCase) -> list[CheckResult]:
    """Return the failures of the expected check and operation; all others are reads that show what a write did."""
    all_failures = run_result.with_status(Status.FAILED)
    failures = [o for o in all_failures if not _is_read_after_write(o.requirement, case.operation)]
    locations = {(o.requirement.check, o.requirement.operation) for o in failures}
    assert locations == {(case.check_id, case.operation)}, [
        f"{o.requirement.fingerprint}: {o.status} {o.message}" for o in run_result.results
    ]
    return failures


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_every_check_has_a_fault(check: Check) -> None:
    assert check.id in {case.check_id for case in FAULT_CASES} | CHECKS_OF_OTHER_CONTRACTS


def test_every_check_applies_to_the_operation_of_its_fault() -> None:
    contract = faults.CLINIC
    assert [
        case
        for case in FAULT_CASES
        if not BY_ID[case.check_id].applies_to(contract, contract.operations[case.operation])
    ] == []


@pytest.mark.slow
def test_every_check_passes_without_a_fault() -> None:
    run_result = run_checks(CHECKS)
    assert [
        f"{o.requirement.fingerprint}: {o.message}" for o in (*run_result.with_status(Status.FAILED), *run_result.flaky)
    ] == []
    passed = {o.requirement.check for o in run_result.with_status(Status.PASSED)}
    assert {check.id for check in CHECKS} - CHECKS_OF_OTHER_CONTRACTS == passed
    assert not run_result.records_not_deleted


@pytest.mark.slow
@pytest.mark.parametrize("case", FAULT_CASES, ids=[f"{case.check_id}-{n}" for n, case in enumerate(FAULT_CASES)])
def test_check_fails_for_its_fault(case: FaultCase) -> None:
    run_result = run_checks([BY_ID[name] for name in (*case.provided_by, case.check_id)], [case.operation], case.fault)
    failures = find_expected_failures(run_result, case)
    assert all(o.message and o.evidence for o in failures)
    assert case.parameter in (None, *(o.requirement.parameter for o in failures))
    assert not run_result.flaky or (case.check_id, case.operation) == UNSTEADY_FAULT


@pytest.mark.slow
@pytest.mark.parametrize("case", FAULT_CASES, ids=[f"{case.check_id}-{n}" for n, case in enumerate(FAULT_CASES)])
def test_check_fails_for_its_fault_in_a_run_of_all_checks(case: FaultCase) -> None:
    run_result = run_checks(CHECKS, None, case.fault)
    assert (case.check_id, case.operation) in {
        (o.requirement.check, o.requirement.operation) for o in run_result.with_status(Status.FAILED)
    }


def test_filter_that_is_ignored_for_one_value_contradicts_the_filter_by_another_value() -> None:
    run_result = run_checks(
        [BY_ID["model-list"]], ["listPatients"], inject_fault(faults.ignore_false("insured"), "listPatients")
    )
    failures = [o for o in run_result.with_status(Status.FAILED) if o.requirement.parameter == "insured"]
    assert failures
    assert all(failure.is_contradiction for failure in failures)


@pytest.mark.parametrize(("hours", "status"), [(0.0, Status.PASSED), (0.1, Status.SKIPPED), (500, Status.SKIPPED)])
def test_clock_offset_that_is_no_time_zone_skips_the_check(hours: float, status: Status) -> None:
    fault = inject_fault(faults.shift_date_header(hours), "createTreatment")
    run_result = run_checks([BY_ID["created-timestamp-correct"]], ["createTreatment"], fault)
    assert [o.status for o in run_result.results] == [status]


def test_links_without_a_query_fail_only_their_check() -> None:
    names = [p.name for p in faults.CLINIC.operations["listPatients"].query_parameters if p.name != "page"]
    fault = inject_fault(faults.drop_from_links(*names), "listPatients")
    run_result = run_checks(CHECKS, ["listPatients"], fault)
    assert {o.requirement.check for o in run_result.with_status(Status.FAILED)} == {"page-links-keep-query"}
