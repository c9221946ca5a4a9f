"""The files of a report folder: name -> the writer that makes its text."""

from collections.abc import Callable, Mapping

from conformance.reporting import Report, html, json_report, junit, markdown, sarif

REPORT_WRITERS: Mapping[str, Callable[[Report], str]] = {
    "conformance.json": json_report.render,
    "junit.xml": junit.render,
    "conformance.md": markdown.render,
    "conformance.html": html.render,
    "conformance.sarif": sarif.render,
}
