"""The fixtures `athena_mock` and `athena_sandbox`.

A session has one mock. With pytest-xdist, the controller starts it and passes its URL to the workers.
"""

from collections.abc import Generator, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from pytest_athena.client import AthenaMock, AthenaSandbox, ControlRequestError
from pytest_athena.process import MockProcess, MockStartError

_URL_OPTION, _TOKEN_OPTION = "--athena-mock-url", "--athena-control-token"
_COMMAND_SETTING = "athena_mock_command"
_URL_INPUT = "athena_mock_url"  # in `workerinput` of pytest-xdist
_PARAMETERS = ("dataset", "seed", "epoch")  # of the marker `athena`
_PROCESS = pytest.StashKey[MockProcess]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("athena", "mock server of the Athena API")
    group.addoption(_URL_OPTION, metavar="URL", help="Use a running mock; by default the session starts one.")
    group.addoption(_TOKEN_OPTION, metavar="TOKEN", help="Control token of a running mock.")
    parser.addini(_COMMAND_SETTING, "Command and options of the mock; default: athena-mock.", type="args", default=[])


def pytest_configure(config: pytest.Config) -> None:
    marker = f"athena({', '.join(_PARAMETERS)}): parameters of the fixture athena_sandbox, by keyword"
    config.addinivalue_line("markers", marker)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the URL of the mock to a worker of pytest-xdist."""
    node.workerinput[_URL_INPUT] = _get_url(node.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    process = config.stash.get(_PROCESS, None)
    if process is not None:
        process.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the requests to the sandbox to the report of a failed test."""
    report = yield
    sandbox = getattr(item, "funcargs", {}).get("athena_sandbox")
    if report.when == "call" and report.failed and sandbox is not None:
        report.sections.append(("Requests to the Athena mock", _describe_requests(sandbox)))
    return report


def _describe_requests(sandbox: AthenaSandbox) -> str:
    try:
        requests = sandbox.find_requests()
    except (ControlRequestError, OSError) as error:
        return str(error)
    return "\n".join(_describe_request(request) for request in reversed(requests))


def _describe_request(recorded: Mapping[str, Any]) -> str:
    """Describe a request, the status of its response, and its deviations from the contract."""
    request, response = recorded["request"], recorded["response"]
    query = f"?{urlencode(request['query'])}" if request["query"] else ""
    status = response["status"] if response else "no response"
    lines = [f"  {finding['kind']} {finding['location']}: {finding['message']}" for finding in recorded["findings"]]
    return "\n".join([f"{request['method']} {request['path']}{query}: {status}", *lines])


def _get_url(config: pytest.Config) -> str:
    """Return the URL of the session's mock; start it at the first use. Raises pytest.UsageError."""
    url = config.getoption(_URL_OPTION)
    if url:
        return str(url).rstrip("/")
    process = config.stash.get(_PROCESS, None)
    if process is None:
        try:
            process = config.stash[_PROCESS] = MockProcess.start(config.getini(_COMMAND_SETTING))
        except MockStartError as error:
            raise pytest.UsageError(str(error)) from None
    return process.url


@pytest.fixture(scope="session")
def athena_mock(pytestconfig: pytest.Config) -> AthenaMock:
    """The mock of the session."""
    worker_input = getattr(pytestconfig, "workerinput", {})
    return AthenaMock(worker_input.get(_URL_INPUT) or _get_url(pytestconfig), pytestconfig.getoption(_TOKEN_OPTION))


def _get_parameters(item: pytest.Item) -> Mapping[str, Any]:
    """Return the parameters of the marker `athena`. Fail the test if it has others."""
    marker = item.get_closest_marker("athena")
    if marker is None:
        return {}
    unknown = [*map(repr, marker.args), *(name for name in marker.kwargs if name not in _PARAMETERS)]
    if unknown:
        pytest.fail(
            f"{item.nodeid}: @pytest.mark.athena: unexpected {', '.join(unknown)} "
            f'(expected the keyword arguments {", ".join(_PARAMETERS)}, for example dataset="empty")',
            pytrace=False,
        )
    return marker.kwargs


@pytest.fixture
def athena_sandbox(request: pytest.FixtureRequest, athena_mock: AthenaMock) -> Iterator[AthenaSandbox]:
    """An isolated state of the mock for one test. `@pytest.mark.athena(dataset="empty")` sets its parameters."""
    sandbox = athena_mock.create_sandbox(**_get_parameters(request.node))
    yield sandbox
    sandbox.delete()
