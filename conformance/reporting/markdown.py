"""The report as Markdown, for a comment on a pull request: the verdict first, then what blocks, then the rest.

All that a target or a contract says stands in code spans and fences longer than any run of backticks in it, where
GitHub reads no HTML, no mention, no issue number and no link. Blocks are kept whole; what does not fit is left out at
the end, with a sentence.
"""

import re
from collections.abc import Iterable, Iterator

from conformance.reporting import ADVICE, PROVENANCE_TEXTS, Report
from conformance.reporting.groups import ResultGroup, group_results
from conformance.reporting.names import display_name, format_counts, format_headline
from conformance.results import CheckResult
from conformance.session.coverage import COVERED, ITEM_KINDS, PARTIAL

MAX_BYTES = 60_000  # bytes; GitHub refuses a comment of more than 65,536 characters
MAX_TABLE_ROWS = 25  # of the table of what blocks
MAX_MESSAGE_CHARS = 240  # signs of what was found, in a table
MAX_LIST_ENTRIES = 15
MAX_OTHER_RESULTS = 20  # of a group, by name
_TICKS = re.compile("`+")


def render(report: Report) -> str:
    """The whole text, with a line end; at most `MAX_BYTES` bytes."""
    blocks = list(_render_blocks(report))
    bytes_left = MAX_BYTES - 200
    included_blocks: list[str] = []
    for block in blocks:
        bytes_left -= len(block.encode("utf-8", "replace")) + 2
        if bytes_left < 0:
            included_blocks.append(
                f"*Cut here: {len(blocks) - len(included_blocks)} more parts are in the other reports of this run.*"
            )
            break
        included_blocks.append(block)
    return "\n\n".join(included_blocks) + "\n"


def code_span(text: str) -> str:
    """A text as a code span that it cannot leave, also in a table."""
    text = " ".join(text.split())
    if not text:
        return ""
    ticks = "`" * (1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    padding = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{ticks}{padding}{text}{padding}{ticks}".replace("|", "\\|")


def code_block(text: str, language: str = "") -> str:
    """A text as a code block that it cannot leave."""
    ticks = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    return f"{ticks}{language}\n{text}\n{ticks}"


def _render_blocks(report: Report) -> Iterator[str]:
    gate_result = report.gate_result
    yield f"**athena-conformance: {_render_verdict(report)}**"
    facts = f"{report.requests} requests in {report.seconds:.0f} s, seed {report.seed}, run {code_span(report.run_id)}"
    yield f"{code_span(report.display_target())} against {code_span(report.contract)} ({code_span(report.contract_digest[:12])}): {facts}."
    yield f"{format_counts(report)}."
    if gate_result.warnings:
        yield _render_list(code_span(report.redaction.line(warning)) for warning in gate_result.warnings)
    if gate_result.blocking:
        groups = group_results(gate_result.blocking)
        yield "### What blocks"
        yield _render_failure_table(report, groups)
        for number, group in enumerate(groups, 1):
            yield _render_failure(report, number, group)
    if gate_result.gaps:
        yield f"### Contract gaps ({len(gate_result.gaps)})"
        yield "They rest on inferred places: backend or contract may be wrong. They block only under `--strict`."
        yield from (
            _render_gap(report, result) for group in group_results(gate_result.gaps) for result in group.results
        )
    if gate_result.flaky:
        yield f"### Flaky ({len(gate_result.flaky)})"
        yield _render_list(_render_result_line(report, result) for result in gate_result.flaky)
    if gate_result.accepted:
        yield f"### Accepted by --baseline ({len(gate_result.accepted)})"
        yield _render_list(_render_result_line(report, result) for result in gate_result.accepted)
    yield from _render_incomplete(report)
    yield from _render_coverage(report)


def _render_verdict(report: Report) -> str:
    label, _, reasons = format_headline(report).partition(": ")
    return label + (f": {code_span(reasons)}" if reasons else "")


def _render_result_line(report: Report, result: CheckResult) -> str:
    message = report.redaction.line(report.message(result), MAX_MESSAGE_CHARS)
    return f"{code_span(display_name(result.requirement))}: {code_span(message)} ({report.rerun_summary(result)}; {code_span(result.requirement.id)})"


def _render_failure_table(report: Report, groups: tuple[ResultGroup, ...]) -> str:
    rows = ["| # | what | found | due | place |", "| --- | --- | --- | --- | --- |"]
    for number, group in enumerate(groups[:MAX_TABLE_ROWS], 1):
        result, requirement = group.first, group.first.requirement
        message = code_span(report.redaction.line(report.message(result), MAX_MESSAGE_CHARS))
        location = code_span(f"{report.contract}:{report.line_number(requirement)}")
        rows.append(
            f"| {number} | {code_span(group.title())} | {message} | {code_span(requirement.summary)} | {location} |"
        )
    omitted = len(groups) - MAX_TABLE_ROWS
    return "\n".join(rows) + (f"\n\nand {omitted} more" if omitted > 0 else "")


def _render_failure(report: Report, number: int, group: ResultGroup) -> str:
    """One of a group in full, the others by name."""
    result, requirement = group.first, group.first.requirement
    provenance_level = report.provenance_level(requirement)
    advice = f" {ADVICE[result.failure_kind]}" if result.failure_kind else ""
    parts = [
        f"**{number}. {code_span(group.title())}** ({report.rerun_summary(result)})",
        f"- due: {code_span(requirement.summary)}\n- found: {code_span(report.message(result))}\n"
        f"- place: {code_span(report.location(requirement))}\n- {provenance_level}: {PROVENANCE_TEXTS.get(provenance_level, '')}{advice}",
    ]
    others = [
        f"{code_span(display_name(other.requirement))} ({code_span(other.requirement.id)})"
        for other in group.results[1:]
    ]
    omitted_note = f" and {len(others) - MAX_OTHER_RESULTS} more" if len(others) > MAX_OTHER_RESULTS else ""
    others_note = [f"Also: {', '.join(others[:MAX_OTHER_RESULTS])}{omitted_note}"] if others else []
    return "\n\n".join([*parts, *_render_next_steps(report, result), *others_note])


def _render_gap(report: Report, result: CheckResult) -> str:
    summary = f"{code_span(display_name(result.requirement))}: {code_span(report.message(result))} ({code_span(report.location(result.requirement))})"
    return "\n\n".join([summary, *_render_next_steps(report, result)])


def _render_next_steps(report: Report, result: CheckResult) -> Iterator[str]:
    """What is proposed, and the commands that show it again."""
    proposal = report.proposal_for(result)
    if proposal is not None:
        yield code_span(proposal.message)
        yield from [code_block(proposal.diff, "diff")] if proposal.diff else []
    command = report.curl_command(result)
    yield code_block("\n".join(filter(None, (command, report.replay_command(result.requirement)))), "sh")


def _render_incomplete(report: Report) -> Iterator[str]:
    gate_result = report.gate_result
    redact = report.redaction.line
    if gate_result.operations_never_successful:
        yield "### Never succeeded"
        yield _render_list(
            f"{code_span(operation)}: {code_span(redact(reason, MAX_MESSAGE_CHARS))}"
            for operation, reason in gate_result.operations_never_successful.items()
        )
    if gate_result.skip_reasons:
        yield f"### Not judged ({sum(gate_result.skip_reasons.values())})"
        sorted_reasons = gate_result.ordered_skip_reasons
        omitted = sum(count for _, count in sorted_reasons[MAX_LIST_ENTRIES:])
        entries = [
            f"{count} x {code_span(redact(skip_reason.message, MAX_MESSAGE_CHARS))}"
            for skip_reason, count in sorted_reasons[:MAX_LIST_ENTRIES]
        ]
        yield _render_list(
            [*entries, *([f"{omitted} x for {len(sorted_reasons) - MAX_LIST_ENTRIES} other causes"] if omitted else [])]
        )
    if report.run.records_not_deleted:
        yield "### Left over on the target"
        yield _render_list(
            code_span(redact(f"{resource} {key}"))
            for resource, key in report.run.records_not_deleted[:MAX_LIST_ENTRIES]
        )
        yield code_span(report.cleanup_command())


def _render_coverage(report: Report) -> Iterator[str]:
    coverage = report.coverage
    if coverage is None:
        return
    rows = ["| of the contract | exercised | only reached | never | all |", "| --- | --- | --- | --- | --- |"]
    for kind in ITEM_KINDS:
        covered_count, partial_count, total = (
            coverage.count(kind, COVERED),
            coverage.count(kind, PARTIAL),
            coverage.total(kind),
        )
        rows.append(
            f"| {kind} | {covered_count} | {partial_count} | {total - covered_count - partial_count} | {total} |"
        )
    yield "### Coverage of the contract"
    yield "\n".join(rows)


def _render_list(entries: Iterable[str]) -> str:
    return "\n".join(f"- {entry}" for entry in entries)
