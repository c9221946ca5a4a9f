"""Records of other clients that the model may update."""

from conformance.model.execution import Execution
from conformance.model.steps import Action, RecordName, Step
from conformance.session.mutable_records import MutableRecords
from tests.conformance.support.asgi_session import session
from tests.mock_server.athena import Api, athena_contract, athena_schemas

WORKSPACE, SECOND = RecordName("Workspace", 1), RecordName("Workspace", 2)


def test_tenant_of_the_account_can_be_borrowed_once() -> None:
    api = Api.create(athena_contract(), athena_schemas(), "demo")
    run = session(api.app, api.contract)
    key = api.data("getAuthenticatedUser")["primary_workspace"]["uuid"]
    run.client.mutable_records = MutableRecords({"Workspace": key})
    execution = Execution.start(run)
    for name in (WORKSPACE, SECOND):
        assert execution.execute(Step(Action.CREATE, "Workspace", name)) == []
    assert list(execution.records) == [WORKSPACE]
    assert execution.execute(Step(Action.UPDATE, "Workspace", WORKSPACE, {"name": "borrowed"})) == []
    assert api.data("retrieveWorkspace", key)["name"] == "borrowed"
