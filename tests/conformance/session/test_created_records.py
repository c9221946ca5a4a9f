"""Records that no operation deletes, but that are deleted with another one, on a contract with integer keys."""

from spec.document import parse_document
from spec.loader import parse_contract
from spec.validators import SchemaValidators
from tests.conformance.support.asgi_session import session
from tests.mock_server.athena import Api

CONTRACT = b"""
openapi: 3.0.3
info: {title: Planner, version: "1"}
servers: [{url: "http://localhost:8000/api"}]
paths:
  /projects:
    post:
      operationId: createProject
      requestBody: {content: {application/json: {schema: {type: object, properties: {name: {type: string}}}}}}
      responses: {"201": {$ref: "#/components/responses/Project"}}
  /projects/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {operationId: retrieveProject, responses: {"200": {$ref: "#/components/responses/Project"}}}
    delete: {operationId: deleteProject, responses: {"204": {description: Deleted}}}
  /tasks:
    post:
      operationId: createTask
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/NewTask"}}}}
      responses:
        "201": {description: A task, content: {application/json: {schema: {$ref: "#/components/schemas/Task"}}}}
components:
  responses:
    Project: {description: A project, content: {application/json: {schema: {$ref: "#/components/schemas/Project"}}}}
  schemas:
    Project:
      type: object
      x-resource: {collection: projects, key: id}
      properties: {id: {type: integer, x-stamp: number}, name: {type: string, default: x}}
    Task:
      type: object
      x-resource:
        collection: tasks
        key: id
        stores:
          project: {allOf: [{$ref: "#/components/schemas/Project"}], x-relation: {to: Project, on-delete: cascade}}
      properties:
        id: {type: integer, x-stamp: number}
        size: {type: integer, default: 1}
        project_id: {type: integer, x-derived: {from: project.id}}
    NewTask:
      type: object
      required: [project_id]
      properties: {size: {type: integer}, project_id: {type: integer, x-relation: {sets: project}}}
"""


def test_records_are_deleted_with_the_record_of_their_relation() -> None:
    contract = parse_contract(parse_document(CONTRACT, "x.yaml"))
    api = Api.create(contract, SchemaValidators.from_document(contract.document), "plain")
    run_session = session(api.app, contract, schemas=api.schemas)
    create_project, create_task = contract.operations["createProject"], contract.operations["createTask"]
    projects = [run_session.client.send(create_project, body={"name": "x"}).response.json["id"] for _ in range(2)]
    task = run_session.client.send(create_task, body={"project_id": projects[0], "size": projects[1]}).response.json
    assert [key for _, key in run_session.write_log.list_remaining()] == [task["id"], *projects[::-1]]
    assert run_session.write_log.parents == {("Task", task["id"]): ("Project", projects[0])}
    run_session.client.send(contract.operations["deleteProject"], path={"id": projects[1]})
    assert ("Task", task["id"]) in run_session.write_log.list_remaining()
    assert run_session.clean_up() == []
