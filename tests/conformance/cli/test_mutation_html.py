"""The HTML report of a mutation test: the matrix, the survivors, and hostile texts."""

import xml.etree.ElementTree as ElementTree

from conformance.cli.mutation_html import render_html
from conformance.mutation.evaluate import MutantStatus, MutantSummary
from conformance.mutation.parallel import VariantResult
from conformance.mutation.report import MutationReport

KILLED, SURVIVED = MutantStatus.KILLED, MutantStatus.SURVIVED


def create_mutant(name: str, family: str, operation: str, status: MutantStatus, curl: str = "") -> MutantSummary:
    return MutantSummary(
        id=name,
        family=family,
        operation=operation,
        requirement="Pages do not overlap.",
        can_block=True,
        provenance_independent=False,
        status=status,
        curl=curl,
    )


def parse_page(mutants: list[MutantSummary], variants: list[VariantResult] | None = None) -> ElementTree.Element:
    text = render_html(MutationReport("a.yaml", "all mutants", mutants, variants or [], 0.95, 1.0))
    start = text.index("<body>")
    return ElementTree.fromstring(text[start : text.index("</body>")] + "</body>")


def read_text(element: ElementTree.Element) -> str:
    return "".join(element.itertext()).strip()


def test_matrix_has_killed_and_surviving_mutants_of_each_operation_and_family() -> None:
    page = parse_page(
        [
            create_mutant("1", "page", "listA", KILLED),
            create_mutant("2", "page", "listB", KILLED),
            create_mutant("3", "page", "listB", SURVIVED),
            create_mutant("4", "access", "listB", MutantStatus.EQUIVALENT),
        ]
    )
    rows = [[read_text(cell) for cell in row] for row in page.iterfind(".//table//tr")]
    assert rows == [["operation", "access", "page"], ["listB", "·", "1 of 2"], ["listA", "·", "1"]]
    (survivor,) = page.iterfind(".//td[@class='bad-cell']")
    assert survivor.get("title") == "3"


def test_survivor_has_its_request_and_the_command_that_evaluates_it() -> None:
    page = parse_page([create_mutant("page/x/y", "page", "listA", SURVIVED, "curl -s 'http://h/a'")])
    (article,) = page.iterfind(".//article")
    assert [read_text(block) for block in article.iterfind("pre")] == [
        "curl -s 'http://h/a'",
        "athena-conformance mutation-test --family page --operation listA",
    ]


def test_page_names_why_the_test_failed() -> None:
    variant = VariantResult("keys reversed", 1, 10, 20, ("some check: red",), 0)
    text = read_text(parse_page([create_mutant("1", "page", "listA", SURVIVED)], [variant]))
    assert text.startswith("FAILED: 0 of 1 mutants killed")
    assert "mutation score 0.0% is below --min 0.95" in text
    assert "some check: red" in text


def test_hostile_texts_are_escaped() -> None:
    markup = "<script>x</script>"
    mutants = [create_mutant(markup, markup, markup, SURVIVED, f"{markup}\x1b[31m")]
    text = render_html(MutationReport(markup, markup, mutants, [], 0.95, 1.0))
    assert "<script" not in text
    assert "\x1b" not in text
    assert "default-src 'none'; style-src 'sha256-" in text


def test_empty_run_has_a_page() -> None:
    assert "no mutant to evaluate" in read_text(parse_page([]))
