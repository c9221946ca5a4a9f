"""Jinja2 templates of the reports, in the folder ``templates``."""

from functools import cache
from typing import Any

from conformance.reporting import names
from conformance.reporting.model import PROVENANCE_TEXTS, Report
from conformance.session.coverage import COVERAGE_STATES, ITEM_KINDS


def render_report(name: str, report: Report, **context: Any) -> str:
    """Render the template of a report. `context`: what only this template uses."""
    gate = report.gate_result
    gap_groups = names.group_results(gate.gaps)
    return render_template(
        name,
        report=report,
        gate=gate,
        names=names,
        groups=names.group_results(gate.blocking),
        gap_groups=gap_groups,
        gaps=[result for group in gap_groups for result in group.results],
        kinds=ITEM_KINDS,
        states=COVERAGE_STATES,
        provenance_texts=PROVENANCE_TEXTS,
        line=report.redaction.redact_line,
        **context,
    )


def render_template(name: str, **context: Any) -> str:
    """Render a template; values are escaped in templates named ``*.html.j2``. Undefined names raise an error."""
    return str(_environment().get_template(name).render(**context))


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # imported lazily: most commands need no template

    return Environment(
        loader=PackageLoader("conformance.reporting"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
