"""Sequences that reach each part of an operation at least once.

Each field is set, changed, null and absent; each parameter is sent alone and combined; each relation, computed property
and on-delete rule is reached.
"""

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice, zip_longest
from typing import Any

from conformance.checks.support.days import find_zone_dependent_days
from conformance.checks.support.parameters import find_parameter, get_enum_values
from conformance.checks.support.tenancy import build_unmatched_value
from conformance.checks.support.values import parse_instant
from conformance.errors import SkipCheck
from conformance.model.execution import Execution
from conformance.model.list_comparison import build_reader
from conformance.model.orders import iter_orders
from conformance.model.queries import NIL_UUID, is_unmatched, iter_item_pairs
from conformance.model.specification import UNKNOWN, iter_setters, iter_writable_attributes
from conformance.model.steps import Action, RecordName, Step
from conformance.model.values import ValueGenerator, is_nullable, iter_members
from conformance.session.session import Session
from conformance.session.write_log import is_key
from spec.document import snake_case
from spec.model import BodyField, DerivedProperty, Operation, Parameter, Relation

TWO_DAYS = timedelta(days=2)  # no time zone moves an instant that far
MAX_VALUES = 22  # values of one field that are sent with creates
MAX_UPDATED_ROWS = 14  # updates with another value of each field
MAX_UPDATED_OBJECTS = 7  # values of an object, whose properties have other values in each
MAX_UNSENT_TESTS = 2  # fields that are sent alone, to test the others
MAX_EMBEDDED_VALUES = 3  # values of a field that only embedded records show
MAX_FILTER_VALUES = 3
MIN_WORD_CHARS = 3  # longer words of a text are searched for
MAX_PAIRS = 21  # combinations of two parameters: all of seven
OLD_INSTANT = "2001-02-03T04:05:06Z"
ADOPTED_ROWS = 20  # records of other clients that lists are compared with
RETRIEVED_ROWS = 5  # of them, retrieved because a list may omit properties that it filters by
WORDS = ("alpha", "beta", "beta", "Gamma Übung", "delta 50% x_y", "epsilon 50xx xxy it's 0")
LATE_WORD = "omega"
ABSENT_WORD = "zyzzyx"  # in no text
FALSY_TERMS = ("0", "false", "null")  # that some languages read as no term
LONG_RECORD = 4  # index of the listed record with long texts
LONG_TEXT_CHARS = 3000
MIN_LONG_TEXT_CHARS = 200  # shorter texts are not worth a search for their end
LISTED_BY_VALUE = (("filter", "eq"), ("search", "eq"))  # role and operator of parameters
LIST_RECORDS = 6  # records with different values that lists are compared with
CreateSteps = Generator[Step, None, RecordName | None]  # returns the name of the record, None if it was not created


@dataclass(slots=True)
class Tour:
    """Builds steps for one operation of the contract; they refer to the records of `execution`."""

    execution: Execution
    operation: Operation
    _parents: dict[str, list[RecordName]] = field(default_factory=dict)

    @property
    def session(self) -> Session:
        """The session of the execution."""
        return self.execution.session

    @property
    def resource(self) -> str:
        """The resource of the operation."""
        return self.operation.resource or ""

    @property
    def values(self) -> ValueGenerator:
        """Values for the fields."""
        return ValueGenerator(self.session)

    # Building blocks

    def create(self, resource: str, body: Mapping[str, Any] | None = None) -> CreateSteps:
        """Create a record, with new parents for the references that are required."""
        references: dict[str, Any] = {}
        for name, relation, discriminator, required in self._references(resource):
            if required and name not in (body or {}):
                parents = yield from self.parents(relation.targets[0], 1)
                references |= self._refer(relation, name, discriminator, parents[:1])
        created = self.execution.new_name(resource)
        yield Step(Action.CREATE, resource, created, {**references, **(body or {})})
        return created if created in self.execution.records else None

    def parents(self, resource: str, number: int) -> Generator[Step, None, list[RecordName]]:
        """Create records that others refer to; returns their names. Without a create operation there are none."""
        known = self._parents.setdefault(resource, [])
        while len(known) < number and self.can_create(self.session, resource):
            created = yield from self.create(resource)
            if created is None:
                break
            known.append(created)
        return known

    @staticmethod
    def can_create(session: Session, resource: str) -> bool:
        """Return whether records of a resource can be created without effects and without another record's path."""
        operation = session.contract.find_create_operation(resource)
        return operation is not None and not operation.path_parameter_names and not operation.effects

    def _references(self, resource: str) -> list[tuple[str, Relation, str | None, bool]]:
        """Return (field, relation, discriminator, required) of the references that a create sets."""
        operation = self.session.contract.find_create_operation(resource)
        if operation is None or operation.path_parameter_names or operation.request_body is None:
            return []
        definition, fields = self.session.contract.resources[resource], operation.request_body.fields
        return [(n, r, d, fields[n].required) for n, r, d in iter_setters(definition, operation) if self._is_own(r)]

    def _is_own(self, relation: Relation) -> bool:
        """Whether the run can create the record that a relation refers to, other than accounts and tenants."""
        contract = self.session.contract
        fixed = {r.name for r in (contract.account_resource, contract.tenant_resource) if r is not None}
        return relation.targets[0] not in fixed and self.can_create(self.session, relation.targets[0])

    def _foreign_references(self, operation: Operation) -> Iterator[dict[str, Any]]:
        """Yield bodies for each relation to records that the run cannot create: the tenant, or existing records.

        A relation to several records gets one, two, and the second one, so that added and replaced ones differ.
        """
        definition = self.session.contract.resources[self.resource]
        for name, relation, discriminator in iter_setters(definition, operation):
            if discriminator is not None or self._is_own(relation):
                continue
            keys = self._find_existing_keys(relation)
            if keys and not relation.to_many:
                yield {name: keys[0]}
            elif keys:
                choices = [keys[:1], keys[:2], keys[1:2], []] if len(keys) > 1 else [keys[:1], []]
                yield from ({name: choice} for choice in choices)

    def _find_existing_keys(self, relation: Relation) -> list[Any]:
        """Return the key of an existing record, or of two if records of the resource embed them."""
        keys: list[Any] = []
        with suppress(SkipCheck):
            keys.append(self.session.records.parent(relation)[1])
        listing = self.session.operations.find(self.resource, "list")
        if (keys and not relation.to_many) or listing is None:
            return keys
        key_attribute = self.session.contract.resources[relation.targets[0]].key_attribute
        query = next(iter(self._find_full_selections(listing)), {})
        with suppress(SkipCheck):
            for row in self.session.records.rows(listing, query, pages=1):
                value = row.get(relation.name)
                embedded = value if isinstance(value, list) else [value]
                found = [item.get(key_attribute) for item in embedded if isinstance(item, Mapping)]
                keys += [key for key in found if is_key(key) and key not in keys]
        return keys

    def _refer(
        self, relation: Relation, name: str, discriminator: str | None, targets: list[RecordName]
    ) -> dict[str, Any]:
        """Build the body fields that refer to records; empty without records."""
        if not targets and not relation.to_many:
            return {}
        value: Any = list(targets) if relation.to_many else targets[0]
        return {name: value, **({discriminator: snake_case(targets[0].resource)} if discriminator else {})}

    def _find_setter(self, source: str, relation: Relation) -> tuple[str, str | None] | None:
        """Return (field, discriminator) of a create that set a relation, None if a create cannot set it."""
        setters = [(n, d) for n, r, d, _ in self._references(source) if r.name == relation.name]
        return setters[0] if setters else None

    def _is_created_below(self, source: str, relation: Relation) -> bool:
        """Whether records of a resource are created by an operation on the record that their only such relation has."""
        creator = self.session.contract.find_create_operation(source)
        if creator is None or len(creator.path_parameter_names) != 1 or creator.effects or relation.to_many:
            return False
        relations = self.session.contract.resources[source].relations.values()
        same = [r for r in relations if r.is_stored and not r.to_many and r.targets == relation.targets]
        return same == [relation] and relation.targets == (creator.resource,)

    def _create_referrer(
        self, source: str, relation: Relation, target: RecordName, values: Mapping[str, Any] | None = None
    ) -> CreateSteps:
        """Create a record that refers to another; returns its name, or None if it was not created."""
        setter = self._find_setter(source, relation)
        if setter is None and self._is_created_below(source, relation):
            created = self.execution.new_name(source)
            yield Step(Action.CREATE, source, created, parent=target)
            return created if created in self.execution.records else None
        if setter is None:
            return None
        return (yield from self.create(source, {**(values or {}), **self._refer(relation, *setter, [target])}))

    def _create_referrers(self, target: RecordName) -> Generator[Step, None, list[RecordName | None]]:
        """Create a record for each relation to a record of the run; returns their names."""
        names: list[RecordName | None] = []
        for source, relation in self.session.contract.find_relations_to(target.resource):
            names.append((yield from self._create_referrer(source.name, relation, target)))
        return names

    def observe(self, *names: RecordName | None) -> Iterator[Step]:
        """Retrieve the records that were created."""
        return (Step(Action.RETRIEVE, name.resource, name) for name in names if name is not None)

    def _fields(self, operation: Operation) -> list[BodyField]:
        """Return the body fields that set attributes."""
        definition = self.session.contract.resources[self.resource]
        return [operation.body_fields[a.name] for a in iter_writable_attributes(definition, operation)]

    # Create

    def creates(self) -> Iterator[Step]:
        """Create records: with the required fields only, then with each value of each field, null and references."""
        witness = yield from self._create_observed()
        if witness is not None:
            yield from self._reads(witness)
        creator = self.session.operations.creator(self.resource)
        fields = self._fields(creator)
        # The first value of a required field was sent with the witness.
        columns = self._stagger([self.values.list_values(f)[int(f.required) :][:MAX_VALUES] for f in fields])
        for row in zip_longest(*columns, fillvalue=None):
            body = {f.name: value for f, value in zip(fields, row, strict=True) if value is not None}
            yield from self._create_valid(body)
        yield from self._create_embedded(creator)
        nulls = {f.name: None for f in fields if not f.required and is_nullable(self.session, f)}
        if nulls:
            yield from self._create_valid(nulls)
        yield from self._create_valid(self._server_set_fields(creator))
        yield from self._create_references()
        for body in self._foreign_references(creator):
            yield from self._create_valid(body)
        yield from self.observe(witness)
        yield Step(Action.LIST, self.resource)

    def _create_embedded(self, creator: Operation) -> Iterator[Step]:
        """Create records with values of the fields that only embedded records show, and records that embed them."""
        names = self._embedded_only_names(creator)
        columns = [(name, self.values.list_values(creator.body_fields[name])[:MAX_EMBEDDED_VALUES]) for name in names]
        for index in range(max((len(values) for _, values in columns), default=0)):
            body = {name: values[index % len(values)] for name, values in columns if values}
            created = yield from self.create(self.resource, body)
            if created is not None:
                yield from self._observe_embedded((yield from self._create_embedding_records(created, names)))

    def _embedded_only_names(self, operation: Operation) -> list[str]:
        """Return the writable attributes that no response of the resource itself shows, but one that embeds it."""
        contract = self.session.contract
        own_reads = (self._find("retrieve"), self._find("list"), self._find("create"))
        own_views = {read.envelope.view_name for read in own_reads if read is not None}
        views = [view for view in contract.views.values() if view.resource == self.resource]
        own = {name for view in views if view.name in own_views for name in view.property_names}
        shown = {name for view in views for name in view.property_names} - own
        return [f.name for f in self._fields(operation) if f.name in shown]

    def _create_embedding_records(
        self, target: RecordName, names: Collection[str]
    ) -> Generator[Step, None, list[RecordName]]:
        """Create records that embed a record with one of these properties; returns their names."""
        created: list[RecordName] = []
        contract = self.session.contract
        for source, relation in contract.find_relations_to(target.resource):
            view = contract.views.get(relation.target_views.get(target.resource, ""))
            if view is not None and set(names) & set(view.property_names):
                name = yield from self._create_referrer(source.name, relation, target)
                created += [name] if name is not None else []
        return created

    def _observe_embedded(self, names: Sequence[RecordName]) -> Iterator[Step]:
        """Retrieve records with all relations."""
        for name in names:
            queries = self._find_full_selections(self.session.operations.find(name.resource, "retrieve"))
            yield Step(Action.RETRIEVE, name.resource, name, query=queries[0] if queries else {})

    def _stagger(self, columns: list[list[Any]]) -> list[list[Any]]:
        """Rotate every second column of texts by half, so that one text of a row has the marker of the run."""
        marker, is_rotated, staggered = self.session.payloads.marker, True, []
        for column in columns:
            has_marked_text = any(isinstance(value, str) and marker in value for value in column)
            is_rotated = is_rotated != has_marked_text
            half = len(column) // 2 if has_marked_text and is_rotated else 0
            staggered.append([*column[half:], *column[:half]])
        return staggered

    def _create_references(self) -> Iterator[Step]:
        """Create records with each reference to each kind of record, and with none, several and reordered ones."""
        for name, relation, discriminator, _ in self._references(self.resource):
            for target in relation.targets if discriminator else relation.targets[:1]:
                parents = yield from self.parents(target, 2)
                yield from self.observe(*parents)
                if relation.to_many:
                    yield from self._create_observed({name: []})
                    yield from self._create_observed({name: list(reversed(parents))})
                elif parents:
                    reference = self._refer(relation, name, discriminator, parents[-1:])
                    yield from self._create_observed(reference)
                    yield from self.observe(*parents)
                    # Equal values, then values that a count with a condition leaves out.
                    yield from self.create(self.resource, reference)
                    yield from self.create(self.resource, reference | self._find_excluded_values(self.resource, target))
                    yield from self._observe_parents()
                yield from self.observe(*parents)

    def _create_valid(self, body: Mapping[str, Any]) -> Iterator[Step]:
        """Create a record with several fields; if the target rejects that, with each field alone."""
        created = yield from self._create_observed(body)
        if created is None and len(body) > 1:
            for name, value in body.items():
                yield from self._create_observed({name: value})

    def _create_observed(self, body: Mapping[str, Any] | None = None) -> CreateSteps:
        """Create a record of the resource and retrieve it."""
        name = yield from self.create(self.resource, body)
        yield from self.observe(name)
        return name

    # Update

    def updates(self) -> Iterator[Step]:
        """Update each field to each of a few values, to null, then only a relation, nothing, and everything."""
        references = yield from self._distinct_references(1)
        sibling = yield from self.create(self.resource, references)
        full_body = {**self._full_body(), **references}
        name = (yield from self.create(self.resource, full_body)) or sibling  # a borrowed record exists once
        if name is None:
            return
        yield from self.observe(name, sibling)
        yield from self._update_read_everywhere(name)
        fields = self._fields(self.operation)
        hidden = self._embedded_only_names(self.operation)
        embedding = (yield from self._create_embedding_records(name, hidden)) if hidden else []
        columns: list[list[Any]] = []
        for f in fields:
            if is_nullable(self.session, f):  # first, so that updates of the other fields do not find it empty
                yield from self._update(name, {f.name: None})
            alone, others = self._split_values(f)
            columns.append(others[-MAX_UPDATED_ROWS:])  # the last ones differ most from ordinary values
            for value in alone:
                yield from self._update(name, {f.name: value})
                yield from self._observe_embedded(embedding if f.name in hidden else ())
        for row in zip_longest(*self._stagger(columns), fillvalue=None):
            body = {f.name: value for f, value in zip(fields, row, strict=True) if value is not None}
            yield from self._update_valid(name, body)
        yield from self._update_unsent(name, fields)
        yield from self._update(name, self._server_set_fields(self.operation))
        yield from self._update_references(name)
        ordinary = ((f.name, [value for value in self.values.list_values(f)[1:] if value]) for f in fields)
        yield from self._update_referenced(name, {field_name: values[0] for field_name, values in ordinary if values})
        yield from self.observe(sibling)
        yield Step(Action.LIST, self.resource)
        yield from self._observe_parents()

    def _update_unsent(self, name: RecordName, fields: Sequence[BodyField]) -> Iterator[Step]:
        """Update all fields, then one field and none: the other fields keep their values.

        Twice, with other values: a field that is reset to true keeps that value by chance.
        """
        yield from self._update_unchanged(name, fields)
        values = {f.name: self._contrasting_values(f) for f in fields}
        for index in range(2):
            everything = {f: choices[index % len(choices)] for f, choices in values.items() if choices}
            yield from self._update(name, everything)
            yield from self._update(name, everything if index else {})
            for field_name in [*everything][:MAX_UNSENT_TESTS]:
                yield from self._update(name, {field_name: values[field_name][-1 - index % len(values[field_name])]})

    def _update_unchanged(self, name: RecordName, fields: Sequence[BodyField]) -> Iterator[Step]:
        """Send the values that the record has; a target that requires unique values must not compare it with itself."""
        record = self.execution.records.get(name)
        sent = {field_name for step in self.execution.steps if step.record == name for field_name in step.body}
        known = {n: v for n, v in record.attributes.items() if n in sent and v is not UNKNOWN} if record else {}
        validators = {f.name: self.session.schemas.get_field(f, "write") for f in fields if f.name in known}
        body = {n: known[n] for n, validator in validators.items() if validator.is_valid(known[n])}
        if body:
            yield self._build_update(name, body)

    def _contrasting_values(self, f: BodyField) -> list[Any]:
        """Return two values of a field: true and false, two enum values, or two that are not empty."""
        values = self.values.list_values(f)
        if self.session.payloads.resolve_schema(f.schema).get("type") == "boolean":
            return sorted(values, reverse=True)
        return [value for value in values if value not in ("", 0, [], {})][:2] or values[:1]

    def _update_read_everywhere(self, name: RecordName) -> Iterator[Step]:
        """Update all fields of a record between two reads of everything that shows it, which may be cached."""
        body: dict[str, Any] = {}
        for position, f in enumerate(self._fields(self.operation)):
            body |= self._distinct_value(f, 3, position, is_searched=f.name in self._searched_names())
        reads = [*self._reads(name), *self._lists_with(name)]
        yield from reads
        yield self._build_update(name, body)
        yield from reads
        yield from self._lists_with(name)  # with the new values

    def _reads(self, name: RecordName) -> Iterator[Step]:
        """Retrieve a record without and with its relations, and list it and its parents so."""
        for operation in (self._find("retrieve"), self._find("list")):
            action = Action.RETRIEVE if operation is not None and operation.action == "retrieve" else Action.LIST
            for query in ({}, *self._find_full_selections(operation)) if operation is not None else ():
                yield Step(action, self.resource, name if action is Action.RETRIEVE else None, query=query)
        yield from self._observe_parents()

    def _find(self, action: str) -> Operation | None:
        return self.session.operations.find(self.resource, action)

    def _find_full_selections(self, operation: Operation | None) -> list[dict[str, Any]]:
        """Return the query with all relations, and that with all counts."""
        parameters = (find_parameter(operation, role) for role in ("include", "count")) if operation else ()
        return [{p.name: get_enum_values(p)} for p in parameters if p is not None and get_enum_values(p)]

    def _lists_with(self, name: RecordName) -> list[Step]:
        """Return lists with filters and searches that match a record as it is now, by fields that an update sets."""
        listing, update = self._find("list"), self._find("update")
        if listing is None or update is None or name not in self.execution.records:
            return []
        definition = self.session.contract.resources[self.resource]
        names = {*update.body_fields, *(relation.name for _, relation, _ in iter_setters(definition, update))}
        read = build_reader(self.session, self.execution.model, self.execution.records[name])
        queries: list[dict[str, Any]] = []
        for parameter in listing.query_parameters:
            x_query = parameter.x_query
            paths = [path for path in x_query.paths if path[0] in names] if x_query is not None else []
            if x_query is None or not paths or (x_query.role, x_query.operator) not in LISTED_BY_VALUE:
                continue
            values = [value for value in read(paths[0]) or () if isinstance(value, (str, int, float)) and value != ""]
            value = values[0] if values else None
            if x_query.role == "search":
                value = next((word for word in str(value or "").split() if word.isalnum() and word.isascii()), None)
            if value is not None:
                is_array = self.session.payloads.resolve_schema(parameter.schema).get("type") == "array"
                queries.append({parameter.name: [value] if is_array else value})
        validators = {p.name: self.session.schemas.get(p.schema_pointer, "write") for p in listing.query_parameters}
        valid = (query for query in queries if all(validators[n].is_valid(v) for n, v in query.items()))
        return [Step(Action.LIST, self.resource, query=query) for query in valid]

    def _update_referenced(self, name: RecordName, body: Mapping[str, Any]) -> Iterator[Step]:
        """Update a record that others refer to; those show it before it is retrieved itself."""
        children = yield from self._create_referrers(name)
        yield from self.observe(*children)
        yield self._build_update(name, body)
        yield from self.observe(*children, name)

    def _split_values(self, f: BodyField) -> tuple[list[Any], list[Any]]:
        """Return the values that are sent without other fields, and those that are sent together with others.

        The first are the first two values and those that count as false in many languages; of objects with properties,
        all values up to `MAX_UPDATED_OBJECTS`.
        """
        values = self.values.list_values(f)
        if any(isinstance(value, Mapping) and value for value in iter_members(values)):
            return values[:MAX_UPDATED_OBJECTS], values[MAX_UPDATED_OBJECTS:]
        falsy = [value for value in values[2:] if not value]
        return [*values[:2], *falsy], [value for value in values[2:] if value]

    def _full_body(self) -> dict[str, Any]:
        creator = self.session.contract.find_create_operation(self.resource)
        fields = self._fields(creator) if creator is not None else []
        return {f.name: values[-1] for f in fields if (values := self.values.list_values(f)[:2]) and not f.required}

    def _server_set_fields(self, operation: Operation) -> dict[str, Any]:
        """Return values for the key and the stamps, which the target rejects or ignores."""
        definition = self.session.contract.resources[self.resource]
        writable = operation.body_fields
        stamps = (*definition.attributes_with_stamp("created"), *definition.attributes_with_stamp("updated"))
        key = definition.attributes[definition.key_attribute]
        body: dict[str, Any] = {name: OLD_INSTANT for name in stamps if name not in writable}
        if key.name not in writable:
            body[key.name] = self.session.payloads.generate_value(key.schema, key.name)
        return body

    def _update(self, name: RecordName, body: Mapping[str, Any]) -> Iterator[Step]:
        yield self._build_update(name, body)
        yield from self.observe(name)

    def _update_valid(self, name: RecordName, body: Mapping[str, Any]) -> Iterator[Step]:
        """Update several fields; if the target rejects that, each field alone."""
        count = self.execution.model.write_count
        yield from self._update(name, body)
        if self.execution.model.write_count == count and len(body) > 1:
            for field_name, value in body.items():
                yield from self._update(name, {field_name: value})

    def _build_update(self, name: RecordName, body: Mapping[str, Any]) -> Step:
        """Build an update by the operation of the tour, or by the first one of the resource."""
        is_other = self.operation.action == "update" and self.operation is not self._find("update")
        return Step(Action.UPDATE, self.resource, name, body, operation=self.operation.id if is_other else "")

    def _update_references(self, name: RecordName) -> Iterator[Step]:
        """Move a record from one parent to another and to none; the parents show it."""
        definition = self.session.contract.resources[self.resource]
        fields = self.operation.body_fields
        for field_name, relation, discriminator in iter_setters(definition, self.operation):
            parents = list((yield from self.parents(relation.targets[0], 2))) if self._is_own(relation) else []
            choices = [parents, parents[:1], []] if relation.to_many else [[parent] for parent in parents]
            for targets in choices:
                yield from self._update(name, self._refer(relation, field_name, discriminator, targets))
                yield from self.observe(*parents)
            if not relation.to_many and is_nullable(self.session, fields[field_name]):
                yield from self._update(name, {field_name: None})
                yield from self.observe(*parents)
        for body in self._foreign_references(self.operation):
            yield from self._update(name, body)

    def _observe_parents(self) -> Iterator[Step]:
        """Retrieve the parents with their relations, and list them without and with all relations and counts."""
        for resource, names in list(self._parents.items()):
            retrieve = self.session.operations.find(resource, "retrieve")
            yield from self.observe(*names)
            for query in self._find_full_selections(retrieve):
                yield from (Step(Action.RETRIEVE, resource, name, query=query) for name in names)
            listing = self.session.operations.find(resource, "list") if names else None
            if listing is not None:
                queries = ({}, *self._find_full_selections(listing))
                yield from (Step(Action.LIST, resource, query=query) for query in queries)

    # Delete

    def deletes(self) -> Iterator[Step]:
        """Delete a record, once more, and one that others refer to; siblings, parents and lists show it.

        One sibling has the same parents, one has others.
        """
        sibling = yield from self.create(self.resource)
        references = yield from self._distinct_references(1)
        companion = yield from self.create(self.resource, references)
        name = yield from self.create(self.resource, references)
        if name is None:
            return
        yield from self.observe(name, sibling, companion)
        yield from self._reads(name)
        lists = self._lists_with(name)
        yield from lists
        yield from self._delete(name)
        yield Step(Action.UPDATE, self.resource, name, {})
        yield from self.observe(sibling, companion)
        yield from self._reads(sibling or name)
        yield from lists
        # Of a resource that cannot be retrieved, only their deletes show that they still exist.
        yield from (Step(Action.DELETE, self.resource, other) for other in (companion, sibling) if other is not None)
        for source, relation in self.session.contract.find_relations_to(self.resource):
            yield from self._delete_referenced(source.name, relation)

    def _delete(self, name: RecordName) -> Iterator[Step]:
        if self.session.operations.find(name.resource, "delete") is None:
            return
        yield Step(Action.DELETE, name.resource, name)
        yield from self.observe(name)
        yield Step(Action.DELETE, name.resource, name)

    def _delete_referenced(self, source: str, relation: Relation) -> Iterator[Step]:
        """Delete a record that a child refers to, next to a child of another record."""
        is_creatable = self._find_setter(source, relation) is not None or self._is_created_below(source, relation)
        if not is_creatable or not self.can_create(self.session, self.resource):
            return
        targets: list[RecordName] = []
        children: list[RecordName | None] = []
        for _ in range(2):
            target = yield from self.create(self.resource)
            if target is None:
                return
            targets.append(target)
            children.append((yield from self._create_referrer(source, relation, target)))
        yield from self.observe(*targets, *children)
        yield Step(Action.DELETE, self.resource, targets[0])
        yield from self.observe(*children, *targets)
        yield Step(Action.LIST, source)
        yield from self._list_children(source, relation, targets[0])
        yield Step(Action.LIST, self.resource)

    def _list_children(self, source: str, relation: Relation, target: RecordName) -> Iterator[Step]:
        """List the records that refer to a record, if the list has such a filter."""
        listing = self.session.operations.find(source, "list")
        path = (relation.name, self.session.contract.resources[target.resource].key_attribute)
        for parameter in listing.query_parameters if listing is not None else ():
            x_query = parameter.x_query
            if x_query and (x_query.role, x_query.operator, x_query.paths) == ("filter", "eq", (path,)):
                key = self.execution.records[target].key
                is_array = self.session.payloads.resolve_schema(parameter.schema).get("type") == "array"
                yield Step(Action.LIST, source, query={parameter.name: [key] if is_array else key})

    # Retrieve

    def retrievals(self) -> Iterator[Step]:
        """Retrieve records with each relation alone, with pairs, and with all."""
        yield from self.list_records(2)
        yield from self._create_referrers_of_newest()
        yield from self.observe(*self.execution.live_names())  # a wrong embedded record is then a fault of the retrieve
        if not self.execution.live_names(self.resource):
            yield from self.adopt_rows()
        names = self.execution.live_names(self.resource)[-2:]
        for query in (*self._selections("include"), *self._selections("count")):
            yield from (Step(Action.RETRIEVE, self.resource, name, query=query) for name in names[-1:])
        yield from self.observe(*names, *names[-1:])  # the last one twice: a read changes nothing
        yield Step(Action.LIST, self.resource)
        yield from self.observe(*names[-1:])

    # Lists

    def list_records(self, number: int) -> Iterator[Step]:
        """Create records that differ in each attribute and relation; some have equal values."""
        creator = self.session.contract.find_create_operation(self.resource)
        if creator is None or not self.can_create(self.session, self.resource):
            return
        searched = self._searched_names()
        for index in range(number):
            body: dict[str, Any] = {}
            for position, f in enumerate(self._fields(creator)):
                body |= self._distinct_value(f, index, position, is_searched=f.name in searched)
            body |= yield from self._distinct_references(index)
            body |= self._long_texts(creator, searched) if index == LONG_RECORD else {}
            items = self._related_items(creator) if index == 0 else {}
            if (yield from self.create(self.resource, {**body, **items})) is None:
                yield from self.create(self.resource, body if items else None)

    def _related_items(self, creator: Operation) -> dict[str, Any]:
        """Return two items of each list that is no attribute: the create stores them as related records."""
        definition, items = self.session.contract.resources[self.resource], dict[str, Any]()
        for f in creator.body_fields.values():
            schema = self.session.payloads.resolve_schema(f.schema)
            if schema.get("type") != "array" or f.relation_setter is not None or f.name in definition.attributes:
                continue
            item_schema = self.session.payloads.resolve_schema(schema.get("items", {}))
            value = [self.session.payloads.generate_value(item_schema, f.name) for _ in range(2)]
            if self.session.schemas.get_field(f, "write").is_valid(value):
                items[f.name] = value
        return items

    def _long_texts(self, creator: Operation, names: Collection[str]) -> dict[str, str]:
        """Return searched texts that are long, with a word at their end that no other text has."""
        texts: dict[str, str] = {}
        for f in self._fields(creator):
            schema = self.session.payloads.resolve_schema(f.schema)
            length = min(int(schema.get("maxLength", LONG_TEXT_CHARS)), LONG_TEXT_CHARS)
            if f.name not in names or schema.get("type") != "string" or length < MIN_LONG_TEXT_CHARS:
                continue
            start = f"{self.session.payloads.marker} "
            filler = "word " * (length // 5)
            text = f"{start}{filler}"[: length - len(LATE_WORD) - 1].rstrip() + f" {LATE_WORD}"
            if self.session.schemas.get(f.pointer, "write").is_valid(text):
                texts[f.name] = text
        return texts

    def _create_referrers_of_newest(self) -> Iterator[Step]:
        """Create records that refer to the newest record: its counts and inverse relations differ from the others'.

        Two of each kind have equal values; a third has values that a count with a condition leaves out.
        """
        for name in self.execution.live_names(self.resource)[-1:]:
            yield from self._create_referrers(name)
            for source, relation in self.session.contract.find_relations_to(name.resource):
                if relation.name in self._list_aggregated_relations():
                    yield from self._create_referrer(source.name, relation, name)
                    yield from self._create_referrer(
                        source.name, relation, name, self._find_excluded_values(source.name, name.resource)
                    )

    def _list_aggregated_relations(self) -> set[str]:
        """Return the relations that the computed properties of the resource aggregate, by name on the other side."""
        definition = self.session.contract.resources[self.resource]
        paths = [d.path[:1] for d in self._iter_aggregates(self.resource) if d.path]
        relations = (definition.relations.get(path[0]) for path in paths)
        return {relation.inverse for relation in relations if relation is not None and relation.inverse is not None}

    def _iter_aggregates(self, resource: str) -> Iterator[DerivedProperty]:
        for derived in self.session.contract.resources[resource].derived_properties.values():
            yield from (derived, *derived.parts.values())

    def _find_excluded_values(self, source: str, counting: str) -> dict[str, Any]:
        """Return values of a record of `source` that computed properties of `counting` with a condition leave out."""
        creator = self.session.contract.find_create_operation(source)
        fields = creator.body_fields if creator is not None else {}
        body: dict[str, Any] = {}
        for derived in self._iter_aggregates(counting):
            for name, allowed in derived.where.items():
                values = self.values.list_values(fields[name]) if name in fields else []
                excluded = [value for value in values if value not in allowed]
                body |= {name: excluded[0]} if excluded else {}
        return body

    def _distinct_references(self, index: int) -> Generator[Step, None, dict[str, Any]]:
        """Return references that depend on `index`: to one parent, another, and none; to none, one and two."""
        body: dict[str, Any] = {}
        for position, (name, relation, discriminator, required) in enumerate(self._references(self.resource)):
            target = relation.targets[index % len(relation.targets)] if discriminator else relation.targets[0]
            parents = yield from self.parents(target, 2)
            if relation.to_many:
                body[name] = [[], parents[:1], parents[:2], parents[1:2]][index % 4]
            elif parents and (required or (index + position) % 3):
                body |= self._refer(relation, name, discriminator, [parents[(index + position) % len(parents)]])
        return body

    def _distinct_value(self, f: BodyField, index: int, position: int, *, is_searched: bool) -> dict[str, Any]:
        """Return a value that depends on the record and on the position of the field.

        Two records have equal values, and one has null.
        """
        schema = self.session.payloads.resolve_schema(f.schema)
        if index == 2 and not f.required and is_nullable(self.session, f):
            return {f.name: None}
        if schema.get("enum") or schema.get("type") != "string" or schema.keys() & {"format", "pattern"}:
            values = self.values.list_values(f)
            ordinary = [v for v in values if v not in ("", {}, [])] or values
            return {f.name: ordinary[index % len(ordinary)]} if ordinary else {}
        word = WORDS[(index + position) % len(WORDS)]
        text = f"{word} {self.session.payloads.marker}" if is_searched else word
        valid = self.session.schemas.get(f.pointer, "write").is_valid(text)
        return {f.name: text} if valid else {}

    def _searched_names(self) -> set[str]:
        listing = self.session.operations.find(self.resource, "list")
        search = find_parameter(listing, "search") if listing is not None else None
        return {path[0] for path in search.x_query.paths} if search is not None and search.x_query else set()

    def lists(self) -> Iterator[Step]:
        """List with each parameter alone, with pairs of them, with each order in pages, and with each relation."""
        yield from self.list_records(LIST_RECORDS)
        yield from self._create_referrers_of_newest()
        yield from self.observe(*self.execution.live_names())  # a wrong row is then a fault of the list
        if not self.execution.live_names(self.resource):
            with suppress(SkipCheck):  # a create with effects, which `create` does not use
                self.session.records.shared_record(self.resource)
        yield from self.adopt_rows()
        yield Step(Action.LIST, self.resource)
        conditions = list(self.conditions())
        yield from (Step(Action.LIST, self.resource, query={name: value}) for name, value in conditions)
        size = find_parameter(self.operation, "size")
        paging = {size.name: 2} if size is not None else {}
        # The search for the marker of the run selects few records.
        narrow = next(({n: v} for n, v in conditions if v == self.session.payloads.marker), {})
        for order in [*self._orders()] or [{}]:
            yield Step(Action.LIST, self.resource, query={**order, **narrow, **paging})
        # The records of other clients have values that the run cannot set, such as counts.
        yield from (Step(Action.LIST, self.resource, query=order) for order in self._orders() if narrow)
        yield from self._pairs(conditions, paging)
        yield from self._overridden(conditions)
        for selections in (self._selections("include"), self._selections("count")):
            yield from (Step(Action.LIST, self.resource, query=query) for query in selections)
            if selections:
                everything = {**selections[-1], **next(self._orders(), {})}
                yield Step(Action.LIST, self.resource, query={**everything, **narrow, **paging})
        shown = [p for p in self.operation.query_parameters if p.x_query and p.x_query.role == "show"]
        yield from (Step(Action.LIST, self.resource, query={p.name: True}) for p in shown)
        yield from self._after_writes(conditions)

    def list_queries(self) -> list[dict[str, Any]]:
        """Return queries for exploration: one condition, order, page size or selection each."""
        size = find_parameter(self.operation, "size")
        queries = [{name: value} for name, value in self.conditions()] + list(self._orders())
        queries += [{size.name: number} for number in (1, 2, 3)] if size is not None else []
        return queries + self._selections("include") + self._selections("count")

    def _selections(self, role: str) -> list[dict[str, Any]]:
        """Return queries with the values of the include or count parameter: each alone, and all."""
        parameter = find_parameter(self.operation, role)
        values = get_enum_values(parameter)
        choices = [[value] for value in values] + ([values] if len(values) > 1 else [])
        return [{parameter.name: choice} for choice in choices] if parameter is not None else []

    def body_choices(self, operation: Operation) -> dict[str, list[dict[str, Any]]]:
        """Return for each field of a body the values to choose from, as bodies with that field."""
        choices: dict[str, list[dict[str, Any]]] = {}
        for f in self._fields(operation):
            values = [*self.values.list_values(f), *([None] if is_nullable(self.session, f) else [])]
            choices[f.name] = [{f.name: value} for value in values]
        definition = self.session.contract.resources[self.resource]
        fields = operation.body_fields
        for name, relation, discriminator in iter_setters(definition, operation):
            targets = [n for target in relation.targets for n in self.execution.live_names(target)]
            options: list[list[RecordName]] = [[target] for target in targets]
            if relation.to_many:
                options = [[], *options, targets[:2]]
            choices[name] = [self._refer(relation, name, discriminator, option) for option in options]
            if not relation.to_many and not discriminator and is_nullable(self.session, fields[name]):
                choices[name].append({name: None})
        return {name: bodies for name, bodies in choices.items() if bodies}

    def adopt_rows(self) -> Iterator[Step]:
        """Add records of other clients to the sequence, and retrieve some of them, as different as possible."""
        own = len(self.execution.live_names(self.resource))
        self.execution.adopt_rows(self.resource, ADOPTED_ROWS)
        adopted = self.execution.live_names(self.resource)[own:]
        distinct = list(self._iter_distinct(adopted))
        others = [name for name in adopted if name not in distinct]
        yield from self.observe(*[*distinct, *others][:RETRIEVED_ROWS])

    def _iter_distinct(self, names: Iterable[RecordName]) -> Iterator[RecordName]:
        """Yield the records with a boolean or a value of an enum that none of those before has."""
        attributes = self.session.contract.resources[self.resource].attributes.values()
        kinds = [a.name for a in attributes if a.type == "boolean" or a.enum_values]
        seen: set[tuple[str, str]] = set()
        for name in names:
            row = self.execution.records[name].row
            values = {(kind, str(row[kind])) for kind in kinds if kind in row}
            if values - seen:
                yield name
            seen |= values

    def conditions(self) -> Iterator[tuple[str, Any]]:
        """Yield (parameter, value) of each filter and search, with values that some records have and some do not."""
        for parameter in self.operation.query_parameters:
            x_query = parameter.x_query
            if x_query is None or x_query.role not in ("filter", "search") or parameter.required:
                continue
            if x_query.role == "search":
                validator = self.session.schemas.get(parameter.schema_pointer, "write")
                yield from ((parameter.name, term) for term in self._terms() if validator.is_valid(term))
            else:
                yield from ((parameter.name, value) for value in self._filter_values(parameter))

    def _terms(self) -> list[str]:
        marker, names = self.session.payloads.marker, self.execution.live_names(self.resource)
        foreign = [term for name in names for term in self._words(name)][:2]
        if all(self.execution.records[name].is_foreign for name in names):
            phrases = [f"{term} {ABSENT_WORD}" for term in foreign[:1]]
            return [*foreign, *[term.upper() for term in foreign[:1]], f"{marker}-unknown", *phrases, *FALSY_TERMS]
        return [
            marker,
            *self._late_words(),
            "beta",
            "BETA",
            "gamma",
            "übung",
            "50%",
            "x_y",
            "it's",
            f"beta {marker}",
            f"beta {ABSENT_WORD}",
            *FALSY_TERMS,
            *foreign[:1],
            f"{marker}-unknown",
        ]

    def _late_words(self) -> list[str]:
        """Return the word at the end of the long texts, if a record has one."""
        searched = self._searched_names()
        records = [self.execution.records[name] for name in self.execution.live_names(self.resource)]
        values = [record.attributes.get(name) for record in records for name in searched]
        return [LATE_WORD] if any(isinstance(value, str) and value.endswith(LATE_WORD) for value in values) else []

    def _words(self, name: RecordName) -> Iterator[str]:
        """Yield a word of each searched text of a record of another client."""
        record = self.execution.records[name]
        search = find_parameter(self.operation, "search")
        for path in search.x_query.paths if record.is_foreign and search is not None and search.x_query else ():
            for value in build_reader(self.session, self.execution.model, record)(path) or ():
                words = [w for w in str(value or "").split() if w.isascii() and w.isalnum() and len(w) > MIN_WORD_CHARS]
                yield from words[:1]

    def _filter_values(self, parameter: Parameter) -> list[Any]:
        assert parameter.x_query is not None
        x_query, schema = parameter.x_query, self.session.payloads.resolve_schema(parameter.schema)
        if x_query.operator == "exists":
            return [True, False]
        model = self.execution.model
        values: list[Any] = []
        for name in self.execution.live_names(self.resource):
            for value in build_reader(self.session, model, self.execution.records[name])(x_query.paths[0]) or ():
                items = value if isinstance(value, list) else [value]
                values += [v for v in items if isinstance(v, (str, int, float)) and v not in values and v != ""]
        if x_query.operator in ("from", "to"):
            return _build_bounds(values, operator=x_query.operator, is_date=schema.get("format") == "date")
        item_schema = self.session.payloads.resolve_schema(schema.get("items", schema))
        values += [v for v in item_schema.get("enum", ()) if v not in (None, "", *values)]
        if item_schema.get("type") == "boolean":
            values += [v for v in (True, False) if v not in values]
        falsy = [v for v in values[MAX_FILTER_VALUES:] if v in (0, "0") and not isinstance(v, bool)]
        selected = values[:MAX_FILTER_VALUES] + falsy
        if item_schema.get("type") in ("string", "integer") and not item_schema.get("enum"):
            sample = NIL_UUID if item_schema.get("format") == "uuid" else ""
            selected.append(build_unmatched_value(0 if item_schema["type"] == "integer" else sample))
        selected += [part for part in _find_parts(values, item_schema) if part not in selected]
        if schema.get("type") == "array":
            unmatched = [value for value in selected if is_unmatched(value)]
            several = [values[:2], values[:3]] if len(values) > 1 else [[*unmatched, *values], [*values, *unmatched]]
            selected = [[value] for value in selected] + [value for value in several if len(value) > 1]
        validator = self.session.schemas.get(parameter.schema_pointer, "write")
        return [v for v in selected if validator.is_valid(v)]

    def _orders(self) -> Iterator[dict[str, Any]]:
        return (order.query for order in iter_orders(self.operation))

    def _pairs(self, conditions: list[tuple[str, Any]], paging: Mapping[str, Any]) -> Iterator[Step]:
        """Combine two filters, and a filter with an order, in pages."""
        first_values = dict(reversed(conditions))
        orders = list(self._orders())
        for (left, value), (right, other) in islice(iter_item_pairs(list(first_values.items())), MAX_PAIRS):
            yield Step(Action.LIST, self.resource, query={left: value, right: other})
        for index, (name, value) in enumerate(first_values.items()):
            order = orders[index % len(orders)] if orders else {}
            yield Step(Action.LIST, self.resource, query={name: value, **order, **paging})

    def _overridden(self, conditions: list[tuple[str, Any]]) -> Iterator[Step]:
        """Send each filter that another parameter overrides, with a value that no record has, and that parameter."""
        for parameter in self.operation.query_parameters:
            overriding = parameter.x_query.unless_parameter if parameter.x_query else None
            values = [value for name, value in conditions if name == overriding]
            unmatched = [value for name, value in conditions if name == parameter.name and is_unmatched(value)]
            if values and unmatched:
                yield Step(Action.LIST, self.resource, query={parameter.name: unmatched[0], str(overriding): values[0]})

    def _after_writes(self, conditions: list[tuple[str, Any]]) -> Iterator[Step]:
        """Update and delete a record; the lists follow."""
        names = self.execution.live_names(self.resource)
        update = self.session.operations.find(self.resource, "update")
        queries = [{}, *({name: value} for name, value in dict(reversed(conditions)).items())]
        if update is not None and names:
            body: dict[str, Any] = {}
            for position, f in enumerate(self._fields(update)):
                body |= self._distinct_value(f, 3, position, is_searched=f.name in self._searched_names())
            yield Step(Action.UPDATE, self.resource, names[0], body)
            yield from self.observe(names[0])
            stamps = self.session.contract.resources[self.resource].attributes_with_stamp("updated")
            queries += [order for order in self._orders() if any(value in stamps for value in order.values())]
            yield from (Step(Action.LIST, self.resource, query=query) for query in queries)
        if self.session.operations.find(self.resource, "delete") is not None and len(names) > 1:
            yield Step(Action.DELETE, self.resource, names[1])
            yield from (Step(Action.LIST, self.resource, query=query) for query in queries[:3])


def _build_bounds(values: list[Any], *, operator: str, is_date: bool) -> list[Any]:
    """Return bounds for a filter by range: of the middle of the values, before all of them and after all of them.

    Further bounds of dates are the days for which another time zone selects other records.
    """
    numbers = sorted(value for value in values if isinstance(value, (int, float)))
    if numbers:
        return [numbers[len(numbers) // 2], numbers[0] - 1, numbers[-1] + 1]
    instants = sorted(filter(None, map(parse_instant, values)))
    if not instants:
        return []
    bounds = (instants[len(instants) // 2], instants[0] - TWO_DAYS, instants[-1] + TWO_DAYS)
    if not is_date:
        return [f"{bound:%Y-%m-%dT%H:%M:%SZ}" for bound in bounds]
    days = [bound.date() for bound in bounds] + list(find_zone_dependent_days(instants, operator))
    return [day.isoformat() for day in dict.fromkeys(days)]


def _find_parts(values: list[Any], item_schema: Mapping[str, Any]) -> list[Any]:
    """Return a value that is a part of another one; without such a value, the start of one, which no record has.

    A filter that compares parts finds records with the longer value.
    """
    if item_schema.get("type") not in ("string", "integer") or "format" in item_schema:
        return []
    is_number = item_schema["type"] == "integer"
    texts = [str(value) for value in values if not is_number or str(value).isdecimal()]
    folded = {text.strip().casefold() for text in texts}
    parts = [text for text in texts if any(text.casefold() in other and text.casefold() != other for other in folded)]
    if not parts and not item_schema.get("enum"):
        starts = [start for text in texts for start in (text.partition(" ")[0], text[:-1].strip())]
        parts = [start for start in starts if start and start.casefold() not in folded]
    return [int(part) if is_number else part for part in parts[:1]]


def run_tour(execution: Execution, steps: Iterator[Step]) -> None:
    """Execute the steps of a tour as they are built; each step may depend on the results of the previous ones."""
    for step in steps:
        with suppress(SkipCheck):
            execution.execute(step)
