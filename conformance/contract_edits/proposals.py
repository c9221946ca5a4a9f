"""Proposals for contract gaps: an edit of the contract that allows the observed response, or a question to confirm.

A contract gap is a failure of an inferred requirement, so the contract may be wrong. If a response violates its schema
or has an undocumented status, the edit is derived from the exchange in the evidence of the result.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from http.client import responses as REASON_PHRASES
from typing import Any

from conformance.contract_edits.yaml_patch import Edit, EditError, YamlSource, build_diff
from conformance.responses.findings import iter_causes, json_type, locate_violation
from conformance.results import CheckResult, Status
from conformance.transport.messages import Exchange
from spec.document import Document, escape, iter_keyword_objects
from spec.errors import ContractError
from spec.model import Contract
from spec.validators import SchemaValidators, SchemaViolation

MAX_NAME_CHARS = 64
MAX_TEXT_CHARS = 10_000  # maxLength of a new text property
MAX_SAFE_INTEGER = 2**53 - 1
MAX_ARRAY_ITEMS = 1_000
NULL_SCHEMA: Mapping[str, Any] = {"type": "object", "nullable": True, "enum": [None]}
_PROPERTY_NAME = re.compile(r"[A-Za-z0-9_$][A-Za-z0-9_.$ -]*")
# Keywords that apply only to one type.
_TYPE_KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "string": ("format", "minLength", "maxLength", "pattern", "enum"),
    "integer": ("format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "enum"),
    "number": ("format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "enum"),
    "array": ("items", "minItems", "maxItems", "uniqueItems"),
    "object": ("properties", "required", "additionalProperties"),
    "boolean": ("enum",),
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """Proposal for a contract gap. `edits`: empty if a person has to decide. `diff`: unified diff, or ""."""

    pointer: str
    keyword: str
    message: str
    edits: tuple[Edit, ...] = ()
    diff: str = ""


@dataclass(frozen=True)
class Proposer:
    """Proposes edits of one contract. `file_name`: file name in diffs."""

    contract: Contract
    schemas: SchemaValidators
    file_name: str
    _diff_cache: dict[str, str] = field(default_factory=dict)

    @cached_property
    def _source(self) -> YamlSource:
        return YamlSource.from_text(self.contract.document.content.decode("utf-8"))

    def propose(self, result: CheckResult) -> Proposal:
        for exchange in reversed(result.evidence):
            proposal = self._propose_status(result, exchange) or self._propose_body_change(result, exchange)
            if proposal is not None:
                return self._with_diff(proposal)
        requirement = result.requirement
        question = f'Confirm with the backend team that this is required: "{requirement.summary}"'
        return Proposal(requirement.pointer, "", f"{question} If not, edit the contract.")

    def _with_diff(self, proposal: Proposal) -> Proposal:
        """Add the diff; without edits if the layout of the contract cannot be edited."""
        if not proposal.edits:
            return proposal
        cache_key = repr(proposal.edits)  # many operations share a schema; building a diff takes 0.1 s
        try:
            if cache_key not in self._diff_cache:
                self._diff_cache[cache_key] = build_diff(self._source, proposal.edits, self.file_name)
        except (EditError, UnicodeDecodeError):
            message = f"{proposal.message} (Edit manually: the layout is unusual.)"
            return replace(proposal, message=message, edits=())
        return replace(proposal, diff=self._diff_cache[cache_key])

    # Status ---------------------------------------------------------------------------------------------------------

    def _propose_status(self, result: CheckResult, exchange: Exchange) -> Proposal | None:
        operation = self.contract.operations.get(exchange.request.operation)
        status = exchange.response.status
        pointer = result.requirement.pointer
        if operation is None or pointer != f"{operation.pointer}/responses" or status in operation.responses:
            return None
        message = f"Confirm that {operation.id} may return {status}, then edit:"
        return Proposal(pointer, str(status), message, (Edit(pointer, str(status), self._response_definition(status)),))

    def _response_definition(self, status: int) -> dict[str, Any]:
        """Return the most common reference for a status, or a description by its reason phrase."""
        objects = iter_keyword_objects(self.contract.document.root)
        responses = [n for n, p in objects if p.startswith("#/paths/") and p.endswith(f"/responses/{status}")]
        references = Counter(response["$ref"] for response in responses if "$ref" in response)
        if references:
            return {"$ref": references.most_common(1)[0][0]}
        return {"description": f"{REASON_PHRASES.get(status, f'Status {status}')}."}

    # Body -----------------------------------------------------------------------------------------------------------

    def _propose_body_change(self, result: CheckResult, exchange: Exchange) -> Proposal | None:
        operation = self.contract.operations.get(exchange.request.operation)
        body_pointer = operation.responses.get(exchange.response.status) if operation else None
        if body_pointer is None:
            return None
        violations_by_keyword: dict[str, list[SchemaViolation]] = {}
        for violation in iter_causes(self.schemas.get(body_pointer, "read").iter_errors(exchange.response.json)):
            pointer, keyword = locate_violation(body_pointer, violation.schema_path)
            if pointer == result.requirement.pointer:
                violations_by_keyword.setdefault(keyword, []).append(violation)
        if not violations_by_keyword:
            return None
        reported = result.requirement.keyword
        keyword = reported if reported in violations_by_keyword else next(iter(violations_by_keyword))
        document, violations = self.contract.document, violations_by_keyword[keyword]
        group = _ViolationGroup(document, body_pointer, result.requirement.pointer, keyword, violations)
        edits = tuple(group.build_edits())
        if edits:
            message = f"Confirm that the backend is correct: {group.describe()}; then edit:"
        else:
            message = f"Confirm whether the backend or `{keyword}` at this location is correct: {group.describe()}."
        return Proposal(group.pointer, keyword, message, edits)


@dataclass(frozen=True, slots=True)
class _ViolationGroup:
    """Violations of one keyword at one location. `body_pointer`: schema of the response body."""

    document: Document
    body_pointer: str
    pointer: str
    keyword: str
    violations: list[SchemaViolation]

    @property
    def schema(self) -> Mapping[str, Any]:
        schema_object: Mapping[str, Any] = self.document.resolve(self.pointer)
        return schema_object

    def describe(self) -> str:
        """Describe the required change without any value of the response."""
        violation_kind = self.violations[0].kind.name
        is_null = self.violations[0].instance is None and violation_kind in ("type", "enum", "anyOf", "oneOf")
        return "the value may be null" if is_null else _DESCRIPTIONS.get(violation_kind, "the response is intended")

    def build_edits(self) -> Iterator[Edit]:
        """Yield the edits that allow the observed values; none if a person has to decide."""
        violation_kind = self.violations[0].kind.name
        if self.violations[0].instance is None and violation_kind in ("type", "enum"):
            yield from self._allow_null()
        elif violation_kind in _EDIT_BUILDERS:
            yield from _EDIT_BUILDERS[violation_kind](self)

    def _add_properties(self) -> Iterator[Edit]:
        names: dict[str, Any] = {}
        for violation in self.violations:
            for name in violation.kind.unexpected:
                value = violation.instance[name]
                names[name] = value if names.get(name) is None else names[name]
        if any(len(name) > MAX_NAME_CHARS or not _PROPERTY_NAME.fullmatch(name) for name in names):
            return  # the keys are data, not property names
        if "properties" not in self.schema:
            yield Edit(self.pointer, "properties", {name: infer_schema(value) for name, value in names.items()})
            return
        for name, value in names.items():
            yield Edit(f"{self.pointer}/properties", name, infer_schema(value))

    def _relax_required(self) -> Iterator[Edit]:
        missing = {violation.kind.property for violation in self.violations}
        remaining = [name for name in self.schema.get("required", ()) if name not in missing]
        yield Edit(self.pointer, "required", remaining) if remaining else Edit(self.pointer, "required", remove=True)

    def _extend_enum(self) -> Iterator[Edit]:
        choices = list(self.schema.get("enum", ()))
        for violation in self.violations:
            if not isinstance(violation.instance, (str, int, float)) or len(str(violation.instance)) > MAX_NAME_CHARS:
                return
            choices += [] if violation.instance in choices else [violation.instance]
        yield Edit(self.pointer, "enum", choices)

    def _change_type(self) -> Iterator[Edit]:
        actual_types = {json_type(violation.instance) for violation in self.violations} - {"null"}
        old_type = self.schema.get("type")
        if actual_types <= {"integer", "number"}:
            actual_types = {"number"} if old_type == "integer" else actual_types
        if len(actual_types) != 1:
            return
        (new_type,) = actual_types
        yield Edit(self.pointer, "type", new_type)
        for keyword in _TYPE_KEYWORDS.get(str(old_type), ()):
            if keyword in self.schema and keyword not in _TYPE_KEYWORDS.get(new_type, ()):
                yield Edit(self.pointer, keyword, remove=True)
        if new_type == "array" and "items" not in self.schema:
            yield Edit(self.pointer, "items", {})

    def _relax_bound(self) -> Iterator[Edit]:
        measure = len if "Length" in self.keyword or "Items" in self.keyword else (lambda value: value)
        select_extreme: Callable[[list[Any]], Any] = min if "min" in self.keyword.lower() else max
        new_bound = select_extreme([measure(violation.instance) for violation in self.violations])
        if self.keyword.startswith("exclusive"):
            yield Edit(self.pointer, self.keyword, remove=True)
            yield Edit(self.pointer, self.keyword.removeprefix("exclusive").lower(), new_bound)
        else:
            yield Edit(self.pointer, self.keyword, new_bound)

    def _remove_keyword(self) -> Iterator[Edit]:
        yield Edit(self.pointer, self.keyword, remove=True)

    def _extend_alternatives(self) -> Iterator[Edit]:
        """Add null as an alternative, or relax the alternative with the fewest violations."""
        violation = self.violations[0]
        if violation.instance is None:
            yield Edit(self.pointer, self.keyword, [*self.schema[self.keyword], dict(NULL_SCHEMA)])
            return
        value_path = list(violation.instance_path)

        def has_wrong_type(violations: list[SchemaViolation]) -> bool:
            return any(v.kind.name == "type" and list(v.instance_path) == value_path for v in violations)

        alternatives = [list(violations) for violations in violation.kind.context]
        nearest = min((a for a in alternatives if not has_wrong_type(a)), key=len, default=[])
        groups: dict[tuple[str, str], list[SchemaViolation]] = {}
        for inner in nearest:
            groups.setdefault(locate_violation(self.body_pointer, inner.schema_path), []).append(inner)
        for (pointer, keyword), violations in groups.items():
            group = _ViolationGroup(self.document, self.body_pointer, pointer, keyword, violations)
            yield from group.build_edits()

    def _allow_null(self) -> Iterator[Edit]:
        """Allow null at the property itself, not in the schema that other properties share."""
        site = find_schema_site(self.document, self.body_pointer, self.violations[0].instance_path) or self.pointer
        node = self.document.resolve(site)
        reference = node if "$ref" in node else next(iter(node.get("allOf", ())), {})
        if "type" in node:
            yield Edit(site, "nullable", True)
            if "enum" in node and None not in node["enum"]:
                yield Edit(site, "enum", [*node["enum"], None])
        elif "$ref" in reference:
            yield Edit(site, "anyOf", [{"$ref": reference["$ref"]}, dict(NULL_SCHEMA)])
            yield Edit(site, "$ref" if "$ref" in node else "allOf", remove=True)


_BOUNDS = (
    *("minLength", "maxLength", "minItems", "maxItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
)
_DESCRIPTIONS: Mapping[str, str] = {
    "additionalProperties": "responses have properties that the contract does not define",
    "required": "the property may be missing",
    "enum": "there are more values",
    "type": "values have another type",
    "format": "values have another format",
    "pattern": "values do not match the pattern",
    "uniqueItems": "items may be repeated",
    "falseSchema": "a writeOnly property is returned",
    "anyOf": "the value matches none of the alternatives",
    "oneOf": "the value matches none of the alternatives, or more than one",
} | dict.fromkeys(_BOUNDS, "values are out of bounds")
_EDIT_BUILDERS: Mapping[str, Callable[[_ViolationGroup], Iterator[Edit]]] = {
    "additionalProperties": _ViolationGroup._add_properties,
    "required": _ViolationGroup._relax_required,
    "enum": _ViolationGroup._extend_enum,
    "type": _ViolationGroup._change_type,
    "anyOf": _ViolationGroup._extend_alternatives,
    **dict.fromkeys(("format", "pattern", "uniqueItems", "multipleOf"), _ViolationGroup._remove_keyword),
    **dict.fromkeys(_BOUNDS, _ViolationGroup._relax_bound),
}


def build_proposals(
    contract: Contract, schemas: SchemaValidators, file_name: str, results: Iterable[CheckResult]
) -> dict[tuple[str, str], Proposal]:
    """Map (fingerprint, message) of each failure of an inferred requirement to its proposal, also with --strict."""
    proposer = Proposer(contract, schemas, file_name)
    return {
        (result.requirement.fingerprint, result.message): proposer.propose(result)
        for result in results
        if result.status is Status.FAILED and not result.is_blocking()
    }


def infer_schema(value: Any) -> dict[str, Any]:
    """Return a schema of the type of a value with generous bounds; it reveals nothing of the value.

    It is nullable, because records created without the property have no value.
    """
    type_name = "string" if value is None else json_type(value)
    bounds: dict[str, Any] = {}
    if type_name == "string":
        bounds = {"maxLength": MAX_TEXT_CHARS}
    elif type_name == "integer":
        bounds = {"minimum": -MAX_SAFE_INTEGER, "maximum": MAX_SAFE_INTEGER}
    elif type_name == "array":
        bounds = {"items": infer_schema(value[0]) if value else {}, "maxItems": MAX_ARRAY_ITEMS}
    return {"type": type_name, **bounds, "nullable": True}


def find_schema_site(document: Document, body_pointer: str, path: Iterable[Any]) -> str | None:
    """Return the pointer of the schema at a path of the body, before its references are resolved; None if unknown."""
    site: str | None = body_pointer
    for step in path:
        keyword = "items" if isinstance(step, int) else f"properties/{escape(str(step))}"
        children = (f"{candidate}/{keyword}" for candidate in _alternatives(document, site or ""))
        site = next((child for child in children if _is_object(document, child)), None)
        if site is None:
            return None
    return site


def _alternatives(document: Document, pointer: str, depth: int = 0) -> Iterator[str]:
    """Yield the pointers of a schema and its subschemas through `$ref`, `allOf`, `anyOf` and `oneOf`."""
    if depth > 10:
        return
    node, pointer = document.dereference(document.resolve(pointer), pointer)
    yield pointer
    for keyword in ("allOf", "anyOf", "oneOf"):
        for index in range(len(node.get(keyword, ()))):
            yield from _alternatives(document, f"{pointer}/{keyword}/{index}", depth + 1)


def _is_object(document: Document, pointer: str) -> bool:
    try:
        return isinstance(document.resolve(pointer), dict)
    except ContractError:
        return False
