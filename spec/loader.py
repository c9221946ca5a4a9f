"""Loads a contract, an OpenAPI 3.0 or 3.1 document, into the frozen objects of `spec.model`.

Everything is read from the file; this package contains nothing that is specific to one API.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spec.component_schemas import ComponentSchemas
from spec.consistency import check_consistency
from spec.document import Document, KeywordObjects, escape, iter_keyword_objects, load_mapping
from spec.document_checks.keyword_types import check_keyword_types
from spec.document_checks.objects import check_objects
from spec.document_checks.printed_texts import check_printed_texts, join_lines
from spec.document_checks.valid_parts import select_valid_parts
from spec.errors import ContractError, ProblemCollector, invalid_value
from spec.extensions import parse_csrf
from spec.http.security import parse_security_schemes
from spec.http.servers import parse_base_paths
from spec.line_numbers import describe_lines
from spec.model import Contract, SessionCookie, View
from spec.normalization.canonical_form import is_openapi_31, normalize_document
from spec.operation_parser import OperationParser
from spec.reading.files import Load, UnresolvedReferences, read_document
from spec.resource_parser import parse_resources, parse_views

# Checks a contract and adds its problems.
ContractCheck = Callable[[Contract, ProblemCollector], None]

_VERSION_PATTERN = re.compile(r"3\.[01](\.[0-9]+)?(-.+)?")


def load_contract(
    path: Path, load: Load = load_mapping, known_actions: Collection[str] = (), checks: Sequence[ContractCheck] = ()
) -> Contract:
    """Load the contract file at `path`. Raises ContractError, with lines, if it cannot be read or is invalid.

    `load`: parses the bytes of the file. `known_actions`, `checks`: see `parse_contract`.
    """
    try:
        document = read_document(path, load)
    except UnresolvedReferences as error:
        problems = ProblemCollector(str(path))
        problems.add(error)
        with problems.collect(), describe_lines(error.document):
            parse_contract(error.document, known_actions, checks)
        problems.raise_problems()
        raise
    with describe_lines(document):
        return parse_contract(document, known_actions, checks)


def parse_contract(
    document: Document, known_actions: Collection[str] = (), checks: Sequence[ContractCheck] = ()
) -> Contract:
    """Build the contract of a document. Raises ContractError with all its problems.

    What follows from other problems is not reported. `known_actions`: the values of `x-action`; none: it is not
    checked. `checks`: further checks, of the parts without problems.
    """
    problems = ProblemCollector(document.name)
    document = _check_root(document, problems)
    is_31 = is_openapi_31(document.root)
    objects: KeywordObjects = list(iter_keyword_objects(document.root))
    with problems.collect():
        check_keyword_types(document, objects, is_31=is_31)
    document, objects = _select_valid(document, objects, problems)
    document, objects, canonical = _normalize_valid(document, objects, problems)
    if canonical is not document:
        document, objects = canonical, list(iter_keyword_objects(canonical.root))
    with problems.collect(is_local=True):
        check_printed_texts(document)
    ignored_extensions = check_objects(document, objects, problems, known_actions)
    document, _ = _select_valid(document, objects, problems)
    contract = _parse(document, problems, ignored_extensions)
    if problems.list_consequential():
        document, _ = _select_valid(document, objects, problems)
        contract = _parse(document, ProblemCollector(document.name), ignored_extensions)
    for check in (check_consistency, *checks):
        with problems.collect():
            check(contract, problems)
    problems.raise_problems()
    return contract


def _select_valid(
    document: Document, objects: KeywordObjects, problems: ProblemCollector
) -> tuple[Document, KeywordObjects]:
    """Return the parts of a document that can be checked further, and their objects."""
    consequential = problems.list_consequential()
    if not consequential:
        return document, objects
    document = select_valid_parts(document, consequential)
    return document, list(iter_keyword_objects(document.root))


def _normalize_valid(
    document: Document, objects: KeywordObjects, problems: ProblemCollector
) -> tuple[Document, KeywordObjects, Document]:
    """Return a document without the parts that have no canonical form, its objects, and its canonical form."""
    while True:
        try:
            return document, objects, normalize_document(document, objects)
        except ContractError as error:
            problems.add(error)
            valid = select_valid_parts(document, [error])
            if valid.root == document.root:
                problems.raise_problems()
            document, objects = valid, list(iter_keyword_objects(valid.root))


def _parse(document: Document, problems: ProblemCollector, ignored_extensions: Mapping[str, int]) -> Contract:
    root = document.root
    components = ComponentSchemas.from_document(document)
    resources = parse_resources(components, problems)
    views = parse_views(components, resources, problems)
    operations = OperationParser(components, resources, views).parse_operations(problems)
    session_cookie = None
    with problems.collect(is_local=True):
        session_cookie = _parse_session_cookie(document)
    security_schemes: Mapping[str, Mapping[str, Any]] = {}
    with problems.collect(is_local=True):
        security_schemes = parse_security_schemes(document)
    info = root["info"]
    base_paths: tuple[str, ...] = ("",)
    with problems.collect(is_local=True):
        base_paths = parse_base_paths(root.get("servers"), "#/servers")
    return Contract(
        document,
        join_lines(info.get("title", "")),
        join_lines(info.get("version", "")),
        base_paths[0],
        operations,
        resources,
        views,
        security_schemes,
        next((r for r in resources.values() if r.members_relation), None),
        next((r for r in resources.values() if r.credentials), None),
        {name: _list_views(name, views) for name in resources},
        tuple(r.name for r in resources.values() if r.access_grant),
        session_cookie,
        ignored_extensions,
        base_paths,
    )


def _check_root(document: Document, problems: ProblemCollector) -> Document:
    """Check the version of OpenAPI, and the parts that each document has; return the document with these parts.

    Raises ContractError for another version: its documents follow other rules.
    """
    root = document.root
    version = root.get("openapi")
    if "swagger" in root and version is None:
        expected = f"OpenAPI 3; to convert the file: npx swagger2openapi --yaml --outfile openapi.yaml {document.name}"
        raise ContractError("#/swagger", invalid_value(root["swagger"]), expected)
    if not _VERSION_PATTERN.fullmatch(str(version)):
        problem = "missing version" if version is None else invalid_value(version)
        problems.add(ContractError("#/openapi", problem, "3.0.x or 3.1.x"))
        if version is not None:
            problems.raise_problems()
    sections = ("info",) if is_openapi_31(root) and "paths" not in root else ("info", "paths")
    for section in sections:
        if not isinstance(root.get(section), dict):
            problem = f"missing {section}" if section not in root else invalid_value(root[section])
            problems.add(ContractError(f"#/{section}", problem, "a mapping"))
            root = {**root, section: {}}
    return document if root is document.root else replace(document, root=root)


def _parse_session_cookie(document: Document) -> SessionCookie | None:
    """Parse the security schemes in a cookie; return the first one."""
    cookies = []
    for name, scheme in document.root.get("components", {}).get("securitySchemes", {}).items():
        csrf = parse_csrf(scheme, f"#/components/securitySchemes/{escape(name)}") or ("", "")
        scheme, _ = document.dereference(scheme, "")
        if (scheme.get("type"), scheme.get("in")) == ("apiKey", "cookie"):
            cookies.append(SessionCookie(name, str(scheme.get("name", "")), *csrf))
    return cookies[0] if cookies else None


def _list_views(resource: str, views: dict[str, View]) -> tuple[View, ...]:
    """Return the views of a resource; the one with its name is first."""
    return tuple(sorted((v for v in views.values() if v.resource == resource), key=lambda view: view.name != resource))
