"""Checks the objects of a canonical document: extensions, patterns and references."""

from collections import Counter
from collections.abc import Collection

from spec.document import Document, KeywordObjects
from spec.document_checks.compositions import iter_composition_problems
from spec.errors import ContractError, ProblemCollector
from spec.extensions import check_action, iter_extension_problems
from spec.patterns import iter_pattern_problems


def check_objects(
    document: Document, objects: KeywordObjects, problems: ProblemCollector, known_actions: Collection[str] = ()
) -> dict[str, int]:
    """Add the problems of the objects of a document, and return how often each extension of other tools occurs.

    `known_actions`: the values of `x-action`; none: it is not checked.
    """
    ignored_extensions: Counter[str] = Counter()
    checked_references: set[str] = set()
    valid_patterns: set[str] = set()
    for node, pointer in objects:
        for problem in iter_pattern_problems(node, pointer, valid_patterns):
            problems.add(problem, is_local=True)
        for problem in iter_extension_problems(node, pointer, ignored_extensions):
            problems.add(problem)
        if known_actions and "x-action" in node:
            with problems.collect(is_local=True):
                check_action(node["x-action"], f"{pointer}/x-action", known_actions)
        reference = node.get("$ref")
        if reference is not None and reference not in checked_references:
            checked_references.add(reference)
            try:
                document.dereference(node, pointer)
            except ContractError as error:
                problems.add(ContractError(f"{pointer}/$ref", error.problem, error.expected))
    for problem in iter_composition_problems(objects):
        problems.add(problem)
    return dict(ignored_extensions.most_common())
