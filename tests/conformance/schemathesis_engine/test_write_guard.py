"""Which operations the engine may call."""

from pathlib import Path

from conformance.schemathesis_engine.write_guard import get_exclusion_reason
from spec.document import parse_document
from spec.loader import parse_contract

LABELS = Path(__file__).parents[2] / "contracts" / "extensions" / "resource-with-deleted-body.yaml"


def test_create_that_returns_200_is_called_only_if_its_records_can_be_deleted() -> None:
    text = LABELS.read_text(encoding="utf-8")
    for content, message in ((text, ""), (text.replace("    delete:", "    put:"), "no operation to delete a Label")):
        contract = parse_contract(parse_document(content.encode(), "labels.yaml"))
        reason = get_exclusion_reason(contract, contract.operations["createLabel"], read_only=False, effects=False)
        assert message in str(reason or "")
        assert bool(reason) == bool(message)
