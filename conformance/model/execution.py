"""Executes steps on a target and on the model, and collects the differences.

After a difference the model takes over what the target returned, so that one wrong value does not hide others.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from conformance.checks.support.listing import Listing, ListRequestRejected
from conformance.checks.support.parameters import build_full_include_query, find_parameter, retrieve_with_relations
from conformance.checks.support.values import contains, equal, parse_zoned_datetime, truncate
from conformance.errors import SkipCheck
from conformance.model.comparison import Comparison, Mismatch, exceeds, is_other_value
from conformance.model.contradictions import ObservedWrite, compute_aggregate, contradicts_write, find_derived_property
from conformance.model.list_comparison import ListComparison, ListProblem, build_reader
from conformance.model.queries import evaluate_condition, has_unmatched, iter_conditions, iter_pairs
from conformance.model.row_sets import RowSets
from conformance.model.specification import UNKNOWN, Model, ModelRecord, is_volatile
from conformance.model.steps import Action, RecordName, Step, find_names, replace_names
from conformance.responses.findings import INVALID_INPUT_STATUSES
from conformance.session.record_factory import CreatedRecord
from conformance.session.session import Session
from conformance.session.write_log import is_key
from conformance.transport.messages import GONE_STATUSES, Exchange
from spec.model import Contract, Operation, Parameter, Relation, Resource, View
from spec.property_paths import resolve_count, resolve_include

ACCEPTED_STATUS = 202
CONFLICT_STATUS = 409
MISSING = "is missing, but was requested"


def _explain_nothing() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Divergence:
    """A difference between the target and the model.

    `operation`: whose requirement is violated. `locations`: (pointer, keyword) of all parts of the contract that the
    expectation depends on. `subject`: the property or parameter concerned. `evidence`: exchanges; the last one shows
    it. `step`: number of steps up to the one that showed it. `is_independent`: no provenance excuses it, because a
    record changed without a write to it, or two records have the same key. `is_contradiction`: two responses of the
    target contradict each other, or the request that it accepted. `explain`: sends requests for details and returns a
    text, or "".
    """

    operation: Operation
    locations: tuple[tuple[str, str | None], ...]
    subject: str
    message: str
    evidence: tuple[Exchange, ...]
    step: int
    is_independent: bool = False
    explain: Callable[[], str] = _explain_nothing
    is_contradiction: bool = False

    @property
    def identity(self) -> tuple[str, str]:
        """What identifies the divergence in repetitions of a sequence."""
        return self.operation.id, self.subject


@dataclass(frozen=True, slots=True)
class Write:
    """A successful write.

    `number`: position among the writes of the sequence. `previous`: that of the last write to the same record before.
    """

    number: int
    operation: Operation
    exchange: Exchange
    previous: int = 0


@dataclass(slots=True)
class Execution:
    """One sequence of steps.

    `steps`: those that were executed. `writes`: the exchanges of the successful writes. `reached`: (operationId, field
    or parameter) of the successful requests. `own_writes`: the last write to each record. `confirmed`: (record,
    property) -> number of the last write before a read that showed the value of the model; the response to a write may
    repeat the request without storing it. `row_sets`: of the complete lists since the last write. `_last_retrieved`:
    number of writes before the last retrieve of a record, and its body.
    """

    session: Session
    model: Model
    records: dict[RecordName, ModelRecord] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    writes: list[Exchange] = field(default_factory=list)
    divergences: list[Divergence] = field(default_factory=list)
    own_writes: dict[RecordName, Write] = field(default_factory=dict)
    last_write: Write | None = None
    confirmed: dict[tuple[RecordName, str], int] = field(default_factory=dict)
    reached: set[tuple[str, str]] = field(default_factory=set)
    row_sets: RowSets = field(default_factory=RowSets)
    _last_retrieved: dict[RecordName, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    _name_counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def start(cls, session: Session) -> "Execution":
        """Start a sequence; the model contains only the account and its tenant."""
        execution = cls(session, Model(session.contract))
        account = session.contract.account_resource
        if account is not None:
            with suppress(SkipCheck):
                identity = session.client.identity()
                execution.model.account_key = identity.get(account.key_attribute)
                execution._add_foreign(account, identity)
        return execution

    @property
    def comparison(self) -> Comparison:
        """Compares records with the model of this sequence."""
        return Comparison(self.model)

    def _add_foreign(self, resource: Resource | None, body: Any) -> None:
        """Add the stable attributes of the account, and of the records that it embeds."""
        key = body.get(resource.key_attribute) if resource is not None and isinstance(body, Mapping) else None
        if resource is None or not is_key(key) or (resource.name, key) in self.model.records:
            return
        names = [n for n in resource.attributes if n in body and not is_volatile(resource, n)]
        record = ModelRecord(resource, key, {n: body[n] for n in names}, is_foreign=True)
        self.model.records[record.id] = record
        for relation in resource.relations.values():
            if len(relation.targets) == 1 and not relation.to_many:
                self._add_foreign(self.session.contract.resources[relation.targets[0]], body.get(relation.name))

    def execute(self, step: Step) -> list[Divergence]:
        """Execute a step and return the new divergences; a step whose records do not exist is left out."""
        names = [*find_names(step.body), *find_names(step.query)]
        if step.action not in (Action.CREATE, Action.LIST) and step.record is not None:
            names.append(step.record)
        names += [step.parent] if step.parent is not None else []
        if any(name not in self.records for name in names):
            return []
        if step.action in (Action.UPDATE, Action.DELETE) and step.record and self.records[step.record].is_foreign:
            return []
        first = len(self.divergences)
        self.steps.append(step)
        {
            Action.CREATE: self._create,
            Action.UPDATE: self._update,
            Action.DELETE: self._delete,
            Action.RETRIEVE: self._retrieve,
            Action.LIST: self._list,
        }[step.action](step)
        return self.divergences[first:]

    def resolve(self, value: Any) -> Any:
        """Replace the names of records by their keys."""
        return replace_names(value, lambda name: self.records[name].key)

    def new_name(self, resource: str) -> RecordName:
        """Return a name for a new record."""
        self._name_counts[resource] += 1
        return RecordName(resource, self._name_counts[resource])

    def live_names(self, resource: str = "") -> list[RecordName]:
        """Return the names of the existing records, of one resource or of all."""
        return [n for n, r in self.records.items() if not r.is_deleted and resource in ("", n.resource)]

    def adopt_rows(self, resource: str, max_rows: int) -> None:
        """Take records of other clients from the first page of a list, to compare other lists with them.

        Records of other sequences of the run follow: a repetition of the sequence then takes the same records.
        """
        operation = self.session.operations.find(resource, "list")
        view = self.session.contract.views.get(operation.envelope.view_name or "") if operation else None
        if operation is None or view is None:
            return
        definition = self.session.contract.resources[resource]
        created = [record.key for record in self.session.write_log.created_records if record.resource == resource]
        rows = self._fetch_rows_with_relations(operation)
        rows.sort(key=lambda row: row.get(definition.key_attribute) in created)  # stable
        for row in rows[:max_rows]:
            record = ModelRecord(definition, self.session.operations.key_of(resource, row), is_foreign=True, row=row)
            if record.id not in self.model.records:
                self.model.records[record.id] = self.records[self.new_name(resource)] = record
                self.comparison.adopt(view, record, row)

    def _fetch_rows_with_relations(self, operation: Operation) -> list[Any]:
        """Fetch the first rows of a list with all relations; without them if the target rejects that."""
        listing = Listing(self.session, operation)
        try:
            return list(listing.fetch_largest(*build_full_include_query(self.session, operation)).rows)
        except ListRequestRejected:
            return list(listing.fetch_largest().rows)

    # Writes

    def _create(self, step: Step) -> None:
        """Create a record; a rejected create is left to other checks."""
        assert step.record is not None
        try:
            parent_key = self.records[step.parent].key if step.parent is not None else None
            created = self.session.records.create(step.resource, self.resolve(step.body), parent_key=parent_key)
        except SkipCheck:
            return
        operation = self.session.contract.find_create_operation(step.resource)
        if operation is None or created.exchange.request.method == "get":
            self._borrow(step.record, created)
            return
        previous = self.model.records.get((step.resource, created.key))
        if previous is not None and previous.is_deleted:  # some databases use the key of the last record again
            self.records = {name: record for name, record in self.records.items() if record is not previous}
        elif previous is not None:
            message = f"create of {step.record}: got key {created.key!r}, which another record has, expected a new key"
            self._report(operation, (), "duplicate", message, created.exchange, is_independent=True)
            return
        record = self.model.create(operation, step.resource, created.key, created.request_body)
        self.records[step.record] = record
        if step.parent is not None:
            self._set_parent(record, self.records[step.parent])
        self._record_write(operation, created.exchange, step.record)
        self.reached |= {(operation.id, name) for name in created.request_body}
        self._compare_record(operation, step.record, created.body, created.exchange)

    @staticmethod
    def _set_parent(record: ModelRecord, parent: ModelRecord) -> None:
        """Set the only relation of a record to the resource of the record in the path of its create."""
        relations = [r for r in record.resource.relations.values() if r.is_stored and not r.to_many]
        matching = [r for r in relations if r.targets == (parent.resource.name,)]
        if len(matching) == 1:
            record.references[matching[0].name] = parent.id

    def _borrow(self, name: RecordName, borrowed: CreatedRecord) -> None:
        """Add a record of another client that the run may update; it may be known, as the tenant of the account is."""
        new_record = ModelRecord(self.session.contract.resources[name.resource], borrowed.key)
        record = self.model.records.setdefault(new_record.id, new_record)
        if not record.is_borrowed:
            record.is_foreign, record.is_borrowed = False, True
            self.records[name] = record
            self.comparison.adopt(self.session.contract.views_by_resource[name.resource][0], record, borrowed.body)

    def _update(self, step: Step) -> None:
        assert step.record is not None
        record = self.records[step.record]
        operation = self._find_update(step)
        changes = self.resolve(step.body)
        body = self.session.records.build_update(operation, step.resource, record.key, changes)
        exchange = self.session.client.send(operation, path={operation.path_parameter_names[0]: record.key}, body=body)
        if record.is_deleted:
            message = f"update of {step.record}, which is deleted"
            self._expect_status(operation, "deleted record", message, exchange, GONE_STATUSES)
            return
        if not exchange.response.ok:
            self._compare_rejection(operation, step.record, body, exchange)
            return
        self.session.records.log_accepted(step.resource, record.key, body)
        self.model.update(record, operation, body)
        self._record_write(operation, exchange, step.record)
        self.reached |= {(operation.id, name) for name in body}
        self._compare_record(operation, step.record, self.session.operations.data(operation, exchange), exchange)

    def _compare_rejection(
        self, operation: Operation, name: RecordName, body: Mapping[str, Any], exchange: Exchange
    ) -> None:
        """Report an update that sends only current values of a record and is rejected as invalid (400, 415, 422)."""
        record, status = self.records[name], exchange.response.status
        known = {n: v for n, v in record.attributes.items() if v is not UNKNOWN and (name, n) in self.confirmed}
        is_unchanged = all(n in known and equal(known[n], value) for n, value in body.items())
        if body and is_unchanged and status in INVALID_INPUT_STATUSES:
            names = ", ".join(body)
            message = f"update of {name} with the values that it has ({names}): got {status}, expected 2xx"
            message = f"{message} ({exchange.response.excerpt})"
            self._report(operation, (), "unchanged values", message, exchange, is_contradiction=True)

    def _find_update(self, step: Step) -> Operation:
        """Return the operation of an update. Raises SkipCheck."""
        named = self.session.contract.operations.get(step.operation)
        return named if named is not None else self.session.operations.require(step.resource, "update")

    def _delete(self, step: Step) -> None:
        assert step.record is not None
        record = self.records[step.record]
        operation = self.session.operations.require(step.resource, "delete")
        restriction = None if record.is_deleted else self.model.find_restriction(record)
        exchange = self.session.records.delete(step.resource, record.key)
        assert exchange is not None
        if record.is_deleted:
            message = f"delete of {step.record}, which is deleted"
            self._expect_status(operation, "deleted record", message, exchange, GONE_STATUSES)
        elif restriction is not None:
            referrer, relation = restriction
            reference = f"{referrer.resource.name}.{relation.name}"
            locations = ((relation.pointer, "x-relation"),)
            message = f"delete of {step.record}, which is the {reference} of a record (on-delete: refuse)"
            self._expect_status(operation, f"{reference} refuse", message, exchange, (CONFLICT_STATUS,), *locations)
            if exchange.response.ok:
                self.model.delete(record)
        elif exchange.response.ok:
            deleted = [candidate.id for candidate in self.model.delete(record)]
            self._record_write(operation, exchange, *(name for name, r in self.records.items() if r.id in deleted))
        elif exchange.response.status == CONFLICT_STATUS and not self._has_foreign_referrers(record):
            message = f"delete of {step.record}, which no record refers to: got 409, expected 2xx"
            self._report(operation, (), "delete", message, exchange)
        elif exchange.response.status in GONE_STATUSES and not (record.is_foreign or record.is_borrowed):
            self._report_vanished(operation, step.record, exchange)

    def _report_vanished(self, operation: Operation, name: RecordName, exchange: Exchange) -> None:
        """Report a record that a delete does not find, although no step deleted it.

        It is attributed to the last write before. It is a contradiction if the target has deleted another record of the
        resource, which shows that it implements the operation.
        """
        self.records[name].is_deleted = True
        blamed = self.last_write.operation if self.last_write is not None else operation
        causes = [self.last_write.exchange] if self.last_write is not None else []
        message = f"delete of {name}, which exists: got {exchange.response.status}, expected 2xx"
        has_deleted = self.session.responses.count_successes(operation) > 0
        self._report(blamed, (), "retrieved", message, *causes, exchange, is_contradiction=has_deleted)

    def _has_foreign_referrers(self, record: ModelRecord) -> bool:
        """Whether records of other clients, which they may create at any time, refer to a record."""
        for source, relation in self.session.contract.find_relations_to(record.resource.name):
            rows = self._fetch_rows_by_reference(source.name, relation.name, record)
            if any((source.name, row.get(source.key_attribute)) not in self.model.records for row in rows or ()):
                return True
        return False

    def _record_write(self, operation: Operation, exchange: Exchange, *names: RecordName) -> None:
        self.last_write = Write(self.model.write_count, operation, exchange)
        self.writes.append(exchange)
        for name in names:
            previous = self.own_writes.get(name)
            self.own_writes[name] = replace(self.last_write, previous=previous.number if previous else 0)

    # Reads

    def _retrieve(self, step: Step) -> None:
        assert step.record is not None
        record, name = self.records[step.record], step.record
        operation = self.session.operations.find(step.resource, "retrieve")
        if operation is None:
            return
        exchanges: list[Exchange] = []
        query = tuple(iter_pairs(operation, step.query))

        def find_problem() -> str:
            path = {operation.path_parameter_names[0]: record.key}
            exchanges.append(self.session.client.send(operation, path=path, query=query))
            response = exchanges[-1].response
            if record.is_deleted:
                return "" if response.status in GONE_STATUSES else "it is returned"
            if not response.ok:
                return f"got {response.status}"
            body = self.session.operations.data(operation, exchanges[-1])
            return next((m.message for m in self._new_mismatches(operation, record, body)), "")

        self.session.client.wait_until(find_problem)
        exchange = exchanges[-1]
        blamed, evidence = self._find_cause(operation, name, "retrieved", exchange)
        if record.is_deleted:
            self._compare_deleted(operation, name, exchange)
        elif not exchange.response.ok:
            message = f"retrieve of {name}, which exists: got {exchange.response.status}, expected 2xx"
            has_vanished = self._was_confirmed(name, "retrieved")
            is_missing = exchange.response.status in GONE_STATUSES and (
                not record.is_foreign or self._is_listed(record)
            )
            head = (blamed, (), "retrieved", message)
            self._report(*head, *evidence, is_independent=has_vanished, is_contradiction=is_missing)
        else:
            self.confirmed[name, "retrieved"] = self.model.write_count
            self.reached |= {(operation.id, parameter) for parameter in step.query}
            body = self.session.operations.data(operation, exchange)
            self._compare_update_stamps(operation, step, body, exchange)
            self._compare_record(operation, name, body, exchange)
            self._compare_presence(operation, step, self.records[name], body, exchange)

    def _is_listed(self, record: ModelRecord) -> bool:
        """Whether the list of its resource still contains a record of another client."""
        listing = self.session.operations.find(record.resource.name, "list")
        rows = self._fetch_rows_with_relations(listing) if listing is not None else []
        return any(row.get(record.resource.key_attribute) == record.key for row in rows)

    def _compare_deleted(self, operation: Operation, name: RecordName, exchange: Exchange) -> None:
        """Report a deleted record that a retrieve returns."""
        blamed, evidence = self._find_cause(operation, name, "retrieved", exchange)
        status, relation = exchange.response.status, self._find_cascade(self.records[name])
        if status in GONE_STATUSES or status >= 500:
            return
        if relation is None:
            message = f"retrieve of {name}, which is deleted: got {status}, expected 404"
            is_returned = exchange.response.ok and self._is_delete_complete(name)
            self._report(blamed, (), "retrieve", message, *evidence, is_contradiction=is_returned)
            return
        message = f"retrieve of {name}, which is deleted with its {relation.name}: got {status}, expected 404"
        body = self.session.operations.data(operation, exchange)
        if isinstance(body, Mapping) and relation.name in body:
            message += f"; its {relation.name} is {'still set' if body[relation.name] else 'empty'}"
        locations = ((relation.pointer, "x-relation"),)
        self._report(blamed, locations, f"{name.resource}.{relation.name} cascade", message, *evidence)

    def _is_delete_complete(self, name: RecordName) -> bool:
        """Whether the target stated that a record is deleted, not only that it will be (202)."""
        own = self.own_writes.get(name)
        return own is not None and own.exchange.response.status != ACCEPTED_STATUS

    def _find_cascade(self, record: ModelRecord) -> Relation | None:
        """Return the relation by which a record was deleted with another."""
        for relation in record.resource.relations.values():
            target = record.references.get(relation.name)
            related = self.model.records.get(target) if isinstance(target, tuple) else None
            if relation.on_delete == "cascade" and related is not None and related.is_deleted:
                return relation
        return None

    def _compare_update_stamps(self, operation: Operation, step: Step, body: Any, exchange: Exchange) -> None:
        """Report an update stamp that differs from the previous response to the same request, without a write between.

        A server may advance it when it changes the record by itself.
        """
        if step.record is None or not isinstance(body, Mapping):
            return
        count, before = self._last_retrieved.get(step.record, (-1, {}))
        self._last_retrieved[step.record] = self.model.write_count, body
        if count != self.model.write_count:
            return
        attributes = self.records[step.record].resource.attributes
        names = attributes.keys() & body.keys() & before.keys()
        # Only the notation may differ, so fractions of a second count too.
        changed = {n for n in names if not equal(before[n], body[n]) or _is_other_instant(before[n], body[n])}
        stamps = self.records[step.record].resource.attributes_with_stamp("updated")
        for name in sorted(changed) if changed <= set(stamps) else ():
            message = f"{name} of {step.record}: got {body[name]!r}, expected {before[name]!r} as in the read before"
            locations = ((attributes[name].pointer, None), (operation.pointer, None))
            self._report(operation, locations, name, message, exchange, is_independent=True)

    def _list(self, step: Step) -> None:
        operation = self.session.operations.find(step.resource, "list")
        if operation is None:
            return
        query = self.resolve(step.query)
        names = {r.key: n for n, r in self.records.items() if n.resource == step.resource}
        comparison = ListComparison(self.session, self.comparison, operation, query, row_sets=self.row_sets)
        try:
            reported = {divergence.subject for divergence in self.divergences if divergence.operation is operation}
            problems = comparison.compare([self.records[name] for name in names.values()], reported)
        except ListRequestRejected as rejection:
            self._report_rejection(operation, step, query, rejection)
            return
        self._wait_for_row_values(operation, comparison)
        for row, exchange in comparison.iter_own_rows():
            name = names[row[self.session.operations.resource(operation).key_attribute]]
            self._compare_record(operation, name, row, exchange)
            self._compare_presence(operation, step, self.records[name], row, exchange)
        self._report_list_problems(comparison, problems, names.values())
        self.reached |= {(operation.id, name) for name in query}
        position, size = Listing(self.session, operation).position, find_parameter(operation, "size")
        if position is not None and size is not None and size.name in query:
            self.reached.add((operation.id, position.name))

    def _report_list_problems(
        self, comparison: ListComparison, problems: Iterable[ListProblem], names: Iterable[RecordName]
    ) -> None:
        """Report the problems of a list. In messages, the keys of the run's records are replaced by `names`."""
        for problem in problems:
            message = problem.message
            for name in names:
                message = message.replace(str(self.records[name].key), str(name))
            explain = _explain_nothing
            if problem.missing is not None:
                explain = partial(comparison.explain_missing, problem.missing)
            elif problem.parameter is not None:
                explain = self._explain_ignored(comparison.operation, problem.parameter, problem.evidence[0])
            locations = tuple((pointer, None) for pointer in problem.pointers)
            head = (comparison.operation, locations, problem.subject, message)
            report = partial(self._report, is_contradiction=problem.is_contradiction, may_replace=problem.may_replace)
            report(*head, *problem.evidence, explain=explain)

    def _wait_for_row_values(self, operation: Operation, comparison: ListComparison) -> None:
        """Read a list again until its rows of the run have the values of the model."""
        key_attribute = self.session.operations.resource(operation).key_attribute

        def find_problem() -> str:
            rows = [
                (self.model.records[operation.resource or "", row[key_attribute]], row)
                for row, _ in comparison.iter_own_rows()
            ]
            mismatches = (m for record, row in rows for m in self._new_mismatches(operation, record, row))
            return next((mismatch.message for mismatch in mismatches), "")

        if find_problem():
            self.session.client.wait_until(lambda: comparison.read_again() or find_problem(), is_delay_of_write=False)

    def _report_rejection(
        self, operation: Operation, step: Step, query: Mapping[str, Any], rejection: ListRequestRejected
    ) -> None:
        """Report a rejected list; some servers validate that the record in a filter exists."""
        may_be_unknown = any(map(has_unmatched, query.values())) or self._has_unknown_value(operation, query)
        if rejection.exchange.response.status >= 500 or not may_be_unknown:
            self._report(operation, (), " ".join(query) or "rows", f"{step}: {rejection}", rejection.exchange)

    def _has_unknown_value(self, operation: Operation, query: Mapping[str, Any]) -> bool:
        """Whether a filter by a text or a number has a value that no record of the sequence has."""
        resolve = self.session.payloads.resolve_schema
        live = [self.records[name] for name in self.live_names(operation.resource or "")]
        readers = [build_reader(self.session, self.model, record) for record in live]
        for parameter, value in iter_conditions(operation, query):
            schema, x_query = resolve(parameter.schema), parameter.x_query
            schema = resolve(schema.get("items", schema))
            is_open = schema.get("type") in ("string", "integer") and "enum" not in schema
            if is_open and x_query is not None and (x_query.role, x_query.operator) == ("filter", "eq"):
                items = value if isinstance(value, list) else [value]
                if not all(any(evaluate_condition(parameter, item, r) is True for r in readers) for item in items):
                    return True
        return False

    # Comparison

    def _new_mismatches(self, operation: Operation, record: ModelRecord, body: Any) -> Iterator[Mismatch]:
        """Yield the mismatches that were not reported before: the target is not given time for those again."""
        view = self.session.contract.views.get(operation.envelope.view_name or "")
        reported = {divergence.identity for divergence in self.divergences}
        operations = self.session.contract.operations
        for mismatch in self.comparison.mismatches(view, record, body) if view is not None else ():
            is_new = all((name, mismatch.name) not in reported for name in operations)
            if is_new and not self._is_explained(operation, mismatch):
                yield mismatch

    def _compare_record(self, operation: Operation, name: RecordName, body: Any, exchange: Exchange) -> None:
        """Report the differences of a record in a response, then take over its values."""
        view = self.session.contract.views.get(operation.envelope.view_name or "")
        record = self.records[name]
        if view is None or not isinstance(body, Mapping) or view.resource != record.resource.name:
            return
        names = {owner.id: owner_name for owner_name, owner in self.records.items()}
        wrong: set[tuple[RecordName, str]] = set()
        mismatches = self.comparison.mismatches(view, record, body)
        for mismatch in [m for m in mismatches if not self._is_explained(operation, m)]:
            owner = names.get(mismatch.record.id, name)
            wrong.add((owner, mismatch.path[-1]))
            is_own = mismatch.record.id in names
            cause = self._find_cause(operation, owner, mismatch.path[-1], exchange)
            blamed, evidence = cause if is_own else (operation, (exchange,))
            message = f"{mismatch.name} of {name} in {operation.id}: {mismatch.message}"
            locations = self._find_locations(operation, blamed, mismatch)
            has_changed = owner == name and mismatch.keyword is None and self._was_confirmed(name, mismatch.path[-1])
            is_write = operation.method != "get" and len(mismatch.path) == 1
            explain = partial(self._explain_written, name, mismatch) if is_write else _explain_nothing
            head = (blamed, locations, mismatch.name, message)
            is_lost = self._is_contradiction(operation, owner if is_own else None, mismatch, body)
            report = partial(self._report, is_contradiction=is_lost, may_replace=True, explain=explain)
            report(*head, *evidence, is_independent=has_changed)
        for property_name in map(str, body):
            is_adopted = property_name in record.resource.attributes
            if operation.method == "get" and (is_adopted or (name, property_name) not in wrong):
                self.confirmed[name, property_name] = self.model.write_count
        self.comparison.adopt(view, record, body)
        if record.is_foreign:
            record.row = {**record.row, **body}

    def _find_locations(
        self, operation: Operation, blamed: Operation, mismatch: Mismatch
    ) -> tuple[tuple[str, str | None], ...]:
        """Return the parts of the contract that an expectation depends on. `blamed`: what the value is attributed to.

        If two reads show different values of a relation or a derived property, it does not depend on any operation.
        """
        is_attribute = len(mismatch.path) == 1 and mismatch.path[0] in mismatch.record.resource.attributes
        is_read = operation.method == "get" and not is_attribute
        if is_read and (blamed is operation or not self._is_confirmed_by_other_read(operation, mismatch)):
            return ((mismatch.pointer, None),)
        return ((mismatch.pointer, mismatch.keyword), (blamed.pointer, None))

    def _is_explained(self, operation: Operation, mismatch: Mismatch) -> bool:
        """Whether other clients explain a difference.

        They may have changed a record that is theirs, or created records that are counted: these are read.
        """
        if mismatch.record.is_foreign and any(record is mismatch.record for record in self.records.values()):
            return self._is_confirmed_by_other_read(operation, mismatch)
        derived = mismatch.excess_of
        if derived is None:
            return False
        relation = mismatch.record.resource.relations[derived.path[0]]
        is_listable = len(relation.targets) == 1 and derived.kind == "count"
        inverse = relation.inverse if is_listable else None
        rows = self._fetch_rows_by_reference(relation.targets[0], inverse, mismatch.record) if inverse else None
        if rows is None:
            return self._is_confirmed_by_other_read(operation, mismatch)
        key_attribute = self.session.contract.resources[relation.targets[0]].key_attribute
        own = {key for _, key in self.model.records}
        conditions = derived.where.items()
        foreign = [row for row in rows if row.get(key_attribute) not in own]
        others = sum(all(row.get(name) in (None, *allowed) for name, allowed in conditions) for row in foreign)
        return bool(mismatch.actual <= mismatch.expected + others)

    def _is_confirmed_by_other_read(self, operation: Operation, mismatch: Mismatch) -> bool:
        """Whether another read operation shows the same value of a record, or cannot show it."""
        return self._read_other(operation, mismatch) is not False

    def _read_other(self, operation: Operation, mismatch: Mismatch) -> bool | None:
        """Whether another read operation shows the same value of a record; None if it cannot show it.

        A value that other clients may increase may be higher by then.
        """
        record = mismatch.record
        resource = record.resource.name
        is_own_retrieval = operation.action == "retrieve" and operation.resource == resource
        other = self.session.operations.find(resource, "list" if is_own_retrieval else "retrieve")
        view = self.session.contract.views.get(other.envelope.view_name or "") if other is not None else None
        if other is None or view is None:
            return None
        if is_own_retrieval:
            rows = self._fetch_rows_with_relations(other)
            body = next((row for row in rows if row.get(record.resource.key_attribute) == record.key), None)
        else:
            body, _ = retrieve_with_relations(self.session, other, record.key)
        if not isinstance(body, Mapping):
            return None
        name, mismatches = mismatch.path[-1], self.comparison.mismatches(view, record, body)
        actual_values = {m.path[-1]: m.actual for m in mismatches if m.record is record}
        is_shown = any(name in part for part in (body, *body.values()) if isinstance(part, Mapping))
        if not is_shown:
            return None
        current = actual_values.get(name, UNKNOWN)
        has_increased = mismatch.excess_of is not None and current is not UNKNOWN and exceeds(current, mismatch.actual)
        return has_increased or equal(current, mismatch.actual)

    def _fetch_rows_by_reference(
        self, source: str, relation: str, record: ModelRecord
    ) -> list[Mapping[str, Any]] | None:
        """Return all rows whose relation is a record; None without a list that can be filtered by it."""
        operation = self.session.operations.find(source, "list")
        path = (relation, record.resource.key_attribute)
        for parameter in operation.query_parameters if operation is not None else ():
            x_query = parameter.x_query
            if operation and x_query and (x_query.role, x_query.operator, x_query.paths) == ("filter", "eq", (path,)):
                with suppress(SkipCheck):
                    return list(self.session.records.rows(operation, {parameter.name: record.key}))
        return None

    def _explain_written(self, name: RecordName, mismatch: Mismatch) -> str:
        """Say whether a retrieve returns the same wrong value as the response to a write."""
        record = self.records[name]
        retrieve = self.session.operations.find(name.resource, "retrieve")
        body = retrieve_with_relations(self.session, retrieve, record.key)[0] if retrieve is not None else None
        if not isinstance(body, Mapping) or mismatch.path[0] not in body:
            return ""
        value = body[mismatch.path[0]]
        return f"a retrieve then returns {'the same' if equal(value, mismatch.actual) else truncate(value)}"

    def _was_confirmed(self, name: RecordName, property_name: str) -> bool:
        """Whether a read has shown the expected value since the last write to a record."""
        own = self.own_writes.get(name)
        return own is not None and self.confirmed.get((name, property_name), -1) >= own.number

    def _is_contradiction(
        self, operation: Operation, owner: RecordName | None, mismatch: Mismatch, body: Mapping[str, Any]
    ) -> bool:
        """Whether a difference contradicts the last write to its record, another read, or the rows that it counts."""
        own = self.own_writes.get(owner) if owner is not None else None
        is_attribute = mismatch.path[-1] in mismatch.record.resource.attributes
        if owner is not None and own is not None and (is_attribute or len(mismatch.path) == 1):
            is_confirmed = self.confirmed.get((owner, mismatch.path[-1]), -1) >= own.previous
            is_embedded = len(mismatch.path) > 1
            write = ObservedWrite(own.operation, own.exchange, {} if is_embedded else body, is_confirmed)
            if contradicts_write(self.model, write, replace(mismatch, path=mismatch.path[-1:])):
                return True
        if operation.method != "get":
            return False
        if mismatch.keyword == "x-derived":
            return self._contradicts_rows(operation, mismatch) or self._contradicts_other_read(operation, mismatch)
        is_other = isinstance(mismatch.expected, list) or is_other_value(mismatch.expected, mismatch.actual)
        return is_other and self._contradicts_other_read(operation, mismatch)

    def _contradicts_other_read(self, operation: Operation, mismatch: Mismatch) -> bool:
        """Whether another read shows the expected value of a record of the run, and this one still does not."""
        record = mismatch.record
        if record.is_foreign or record.is_deleted:
            return False
        return self._read_other(operation, mismatch) is False

    def _contradicts_rows(self, operation: Operation, mismatch: Mismatch) -> bool:
        """Whether a count, sum or maximum differs from the listed rows, and is not 0 in all records of the target."""
        record = mismatch.record
        derived = find_derived_property(record.resource, mismatch.path)
        relation = record.resource.relations.get(derived.path[0]) if derived is not None and derived.path else None
        if derived is None or relation is None or relation.inverse is None or len(relation.targets) != 1:
            return False
        rows = self._fetch_rows_by_reference(relation.targets[0], relation.inverse, record)
        if rows is None or not contains(compute_aggregate(derived, rows), mismatch.expected):
            return False
        listing = self.session.operations.find(record.resource.name, "list")
        listed = self._fetch_rows_with_relations(listing) if listing is not None else []
        return bool(mismatch.actual) or any(row.get(mismatch.path[-1]) for row in listed)

    def _find_cause(
        self, operation: Operation, name: RecordName, property_name: str, exchange: Exchange
    ) -> tuple[Operation, tuple[Exchange, ...]]:
        """Return the operation that a wrong value in a response is attributed to, and the evidence.

        It is the last write to the record; a later write, if the value was right after the last write to the record; or
        the read, if the value was right since the last write.
        """
        own = self.own_writes.get(name)
        if operation.method != "get" or own is None or self.last_write is None:
            return operation, (exchange,)
        confirmed = self.confirmed.get((name, property_name), -1)
        if confirmed >= self.last_write.number:
            return operation, (exchange,)
        cause = own if confirmed < own.number else self.last_write
        return cause.operation, (cause.exchange, exchange)

    def _compare_presence(
        self, operation: Operation, step: Step, record: ModelRecord, body: Any, exchange: Exchange
    ) -> None:
        """Compare which relations and counts a response contains with those that the request names."""
        view = self.session.contract.views.get(operation.envelope.view_name or "")
        if view is None or not isinstance(body, Mapping):
            return
        for shown in [p for p in operation.query_parameters if p.x_query and p.x_query.role == "show"]:
            if shown.x_query and step.query.get(shown.name) and shown.x_query.paths[0][0] not in body:
                self._report_presence(operation, shown, step, shown.x_query.paths[0][0], MISSING, exchange)
        include, count = find_parameter(operation, "include"), find_parameter(operation, "count")
        for name, problem in find_wrong_relations(self.session.contract, view, body, step.query, include):
            may_be_hidden = problem is MISSING and self._may_be_hidden(operation, record, name, exchange)
            if include is not None and not may_be_hidden:
                self._report_presence(operation, include, step, name, problem, exchange)
        if count is not None and step.query.get(count.name):
            resource = self.session.contract.resources[view.resource]
            names = [resolve_count(resource, value, "") for value in step.query[count.name]]
            for name in [name for name in names if name in view.property_names and name not in body]:
                self._report_presence(operation, count, step, name, MISSING, exchange)

    def _may_be_hidden(self, operation: Operation, record: ModelRecord, name: str, exchange: Exchange) -> bool:
        """Whether the related record may be one that the caller may not retrieve.

        It may if a record of another client was listed without the relation, and if other rows of a list have it.
        """
        rows = self.session.operations.data(operation, exchange)
        has_other_rows = not isinstance(rows, list) or any(_has_relation(row, name) for row in rows)
        return bool(record.row) and not _has_relation(record.row, name) and has_other_rows

    def _report_presence(
        self, operation: Operation, parameter: Parameter, step: Step, name: str, problem: str, exchange: Exchange
    ) -> None:
        """Report a relation or count that is missing or not requested."""
        value = step.query[parameter.name]
        message = f"{name} {problem} ({parameter.name}={','.join(value) if isinstance(value, list) else value})"
        head = (operation, ((parameter.pointer, None),), f"{parameter.name}={name}", message)
        self._report(*head, exchange, explain=self._explain_ignored(operation, parameter, exchange))

    def _explain_ignored(self, operation: Operation, parameter: Parameter, exchange: Exchange) -> Callable[[], str]:
        """Return what sends a read without one of its parameters, and says so if the records are the same.

        Then the target may not implement the parameter.
        """

        def explain() -> str:
            request, names = exchange.request, (parameter.name, f"{parameter.name}[]")
            data = self.session.operations.data(operation, exchange)
            query = tuple(pair for pair in request.query if pair[0] not in names)
            with suppress(SkipCheck):
                other = self.session.client.send(operation, path=request.path_values, query=query)
                if other.response.ok and self.session.operations.data(operation, other) == data:
                    return f"the same without {parameter.name}: not implemented?"
            return ""

        return explain

    def _expect_status(
        self,
        operation: Operation,
        subject: str,
        request: str,
        exchange: Exchange,
        expected: tuple[int, ...],
        *locations: tuple[str, str | None],
    ) -> None:
        """Report another status. `request`: describes the request in the message."""
        status = exchange.response.status
        if status not in expected and status < 500:
            self._report(operation, locations, subject, f"{request}: got {status}, expected {expected[0]}", exchange)

    def _report(
        self,
        operation: Operation,
        locations: tuple[tuple[str, str | None], ...],
        subject: str,
        message: str,
        *evidence: Exchange,
        is_independent: bool = False,
        is_contradiction: bool = False,
        may_replace: bool = False,
        explain: Callable[[], str] = _explain_nothing,
    ) -> None:
        """Add a divergence that is new. `may_replace`: a contradiction replaces an earlier one that is none."""
        pointers = locations or ((operation.pointer, None),)
        step = len(self.steps)
        divergence = Divergence(
            operation, pointers, subject, message, evidence, step, is_independent, explain, is_contradiction
        )
        known = next((other for other in self.divergences if other.identity == divergence.identity), None)
        if known is None:
            self.divergences.append(divergence)
        elif may_replace and is_contradiction and not known.is_contradiction:
            is_independent = known.is_independent or is_independent
            self.divergences[self.divergences.index(known)] = replace(divergence, is_independent=is_independent)


def _is_other_instant(first: Any, second: Any) -> bool:
    instants = parse_zoned_datetime(first), parse_zoned_datetime(second)
    return None not in instants and instants[0] != instants[1]


def _has_relation(row: Any, name: str) -> bool:
    """Whether a row has a relation, or one of its related records the rest of a path (``user.workspace``)."""
    first, _, rest = name.partition(".")
    if not isinstance(row, Mapping) or first not in row:
        return False
    related = row[first] if isinstance(row[first], list) else [row[first]]
    return not rest or any(_has_relation(record, rest) for record in related)


def find_wrong_relations(
    contract: Contract, view: View, body: Mapping[str, Any], query: Mapping[str, Any], include: Parameter | None
) -> Iterator[tuple[str, str]]:
    """Yield (path, problem) of relations embedded without a request, and of those that are missing at any depth.

    Nothing if the query does not have the parameter `include`.
    """
    values = query.get(include.name) if include is not None else None
    if not values:
        return
    resource = contract.resources[view.resource]
    required = set(contract.document.resolve(view.pointer).get("required", ()))
    paths = [resolve_include(contract, resource, value, "") for value in values]
    allowed = required | {path[0] for path in paths}
    relations = {r.name for r in resource.relations.values() if not r.write_only} & set(view.property_names)
    yield from ((name, "is embedded, but was not requested") for name in sorted(relations & body.keys() - allowed))
    missing = filter(None, (find_missing_relation(contract, view, body, path) for path in paths))
    yield from ((name, MISSING) for name in missing)


def find_missing_relation(contract: Contract, view: View, row: Any, path: tuple[str, ...]) -> str:
    """Return the first relation of a path that a record does not have; "" if it has all that are not empty."""
    if not path or not isinstance(row, Mapping) or path[0] not in view.property_names:
        return ""
    relation = contract.resources[view.resource].relations.get(path[0])
    if relation is None or (row == {} and not relation.to_many):  # end of a circular reference
        return ""
    if path[0] not in row:
        return path[0]
    if len(relation.targets) != 1:
        return ""
    value, related_view = row[path[0]], contract.views[next(iter(relation.target_views.values()))]
    for related in value if isinstance(value, list) else [value]:
        missing = find_missing_relation(contract, related_view, related, path[1:]) if related != {} else ""
        if missing:
            return f"{path[0]}.{missing}"
    return ""
