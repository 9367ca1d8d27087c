"""The pack's routes under requests that nobody should send: 4xx with a JSON message, no harm."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.host.find import REPOSITORY
from scripts.host.server import ComfyServer

pytestmark = [pytest.mark.host, pytest.mark.slow]

PRESET = "preset: otcache-demo"
VALUES: dict[str, Any] = {
    "name": "none such",
    "budget": 10,
    "steps": 50,
    "rho": 1.3,
    "anchor_rho": True,
}
ADVICE: dict[str, Any] = {
    "schedule": {"steps": 50, "budget": 10},
    "runs": [{"steps": 8, "sampler_name": "euler", "denoise": 1.0, "part": False}],
}
ANCHOR = (REPOSITORY / "presets" / "otcache-demo.otanchor.json").read_text(encoding="utf-8")
EDIT: dict[str, Any] = {
    "mask": "1101",
    "schedule": {"steps": 4, "computed_steps": [0, 2], "estimator": "slope", "look_back": [2]},
}
POSTS = ["schedule", "anchors", "check", "advice", "edit"]
GETS = ["schedule", "anchors", "calibration"]
PATHS = [
    "../secret.otanchor.json",
    "..\\secret.otanchor.json",
    "%2e%2e/secret.otanchor.json",
    "....//secret.otanchor.json",
    "/etc/passwd",
    "preset: ../secret",
    "preset: *",
    "secret.otanchor.json\0.png",
    "nul",
    "~/x",
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
fuzz = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A ComfyUI with the pack, and a valid anchor just outside the anchors' folder."""
    base = tmp_path_factory.mktemp("routes")
    (base / "models" / "otcache").mkdir(parents=True)
    (base / "models" / "secret.otanchor.json").write_text(ANCHOR, encoding="utf-8")
    with ComfyServer(base, device="cpu") as server:
        yield server


def _files(comfy: ComfyServer) -> dict[Path, int]:
    """Every file below ComfyUI's base folder but its log, with its size."""
    # The pack itself is a link there.
    paths = [p for p in comfy.base.rglob("*") if p.is_file() and "custom_nodes" not in p.parts]
    return {p: p.stat().st_size for p in paths if p.suffix != ".log" and "user" not in p.parts}


@pytest.fixture(autouse=True)
def only_anchors_are_written(comfy: ComfyServer) -> Iterator[None]:
    before = _files(comfy)
    yield
    changed = {path for path, _ in _files(comfy).items() ^ before.items()}
    assert {path.parent for path in changed} <= {comfy.base / "models" / "otcache"}


def _send(
    comfy: ComfyServer,
    method: str,
    route: str,
    *,
    query: dict[str, str] | None = None,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """Status and JSON answer."""
    connection = http.client.HTTPConnection("127.0.0.1", comfy.port, timeout=30)
    try:
        target = f"/otcache/{route}" + (f"?{urlencode(query)}" if query else "")
        sent = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, target, body, sent | (headers or {}))
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    finally:
        connection.close()


def _help_page(comfy: ComfyServer, path: str) -> tuple[int, str]:
    """Status and text of what lies below the help pages' folder."""
    connection = http.client.HTTPConnection("127.0.0.1", comfy.port, timeout=30)
    try:
        connection.request("GET", f"/extensions/otcache/docs/{path}")
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def _refused(answer: tuple[int, Any], status: int | None = None) -> str:
    """The message of a refusal."""
    got, document = answer
    assert 400 <= got < 500 and status in (None, got), answer
    message = document.pop("error")
    assert message and document.pop("said", {"text": message})["text"] == message
    assert document == {}
    return str(message)


def _post(comfy: ComfyServer, route: str, document: Any) -> tuple[int, Any]:
    return _send(comfy, "POST", route, body=json.dumps(document).encode())


def test_good_questions_are_answered(comfy):
    by_name = {"name": PRESET, "values": json.dumps(VALUES)}
    status, view = _send(comfy, "GET", "schedule", query=by_name)
    assert (status, len(view["computed_steps"]), view["speedup"]) == (200, 10, 5.0)
    assert _post(comfy, "schedule", {**VALUES, "anchor": ANCHOR}) == (200, view)
    status, shown = _send(comfy, "GET", "anchors", query={"name": PRESET})
    assert status == 200 and shown["anchor"] == json.loads(ANCHOR) | shown["anchor"]
    assert shown["text"].split("\n") == [line["text"] for line in shown["lines"]]
    assert _post(comfy, "check", {"anchor": ANCHOR}) == (200, shown)
    status, refused = _post(comfy, "schedule", {**VALUES, "budget": 51, "anchor": ANCHOR})
    assert status == 200 and refused["refused"] == refused["said"]["text"]
    assert refused["said"]["key"] == "budget_above_steps"
    query = {"workflow": "8d4a", "node": "7"}
    assert _send(comfy, "GET", "calibration", query=query) == (200, {"state": None})
    status, advice = _post(comfy, "advice", ADVICE)
    assert (status, [note["rule"] for note in advice["notes"]]) == (200, ["too_short"])
    status, edited = _post(comfy, "edit", EDIT)
    assert (status, edited["computed_steps"], edited["estimator"]) == (200, [0, 1, 3], "slope")
    status, alone = _post(comfy, "edit", {"mask": "1, 1, 0, 1", "schedule": None})
    assert (status, alone) == (200, {**edited, "estimator": "adaptive", "look_back": [1, 1]})
    status, refused = _post(comfy, "edit", {**EDIT, "mask": "110"})
    assert (status, refused["said"]["key"]) == (200, "mask_other_steps")


@pytest.mark.parametrize("language", ["en", "fr", "pt-BR"])
def test_a_help_page_is_there_in_english_whatever_the_language(comfy, language):
    english = _help_page(comfy, "OTCacheApply.md")
    assert english[0] == 200 and english[1].startswith("# Apply OTCache")
    assert _help_page(comfy, f"OTCacheApply/{language}.md") == english


@pytest.mark.parametrize(
    "path",
    ["None/en.md", "images/en.md", "../en.md", "%2e%2e/README.md", "..%2fdocs/OTCacheApply.md"],
)
def test_help_pages_are_looked_up_not_opened_by_path(comfy, path):
    assert _help_page(comfy, path)[0] == 404


def test_a_saved_anchor_is_in_the_anchors_folder_and_never_replaces_another(comfy):
    answers = [_post(comfy, "anchors", {"name": "new one", "anchor": ANCHOR}) for _ in range(2)]
    assert answers == [
        (200, {"saved": "new one.otanchor.json"}),
        (200, {"saved": "new one_2.otanchor.json"}),
    ]
    saved = comfy.base / "models" / "otcache" / "new one.otanchor.json"
    assert json.loads(saved.read_text(encoding="utf-8"))["format"] == "otcache-anchor"


@pytest.mark.parametrize("name", PATHS)
def test_names_are_no_paths(comfy, name):
    query = {"name": name, "values": json.dumps(VALUES)}
    for route in ("schedule", "anchors"):
        assert "anchor" in _refused(_send(comfy, "GET", route, query=query), 400)
    if name != "nul":  # a plain name
        assert "name" in _refused(_post(comfy, "anchors", {"name": name, "anchor": ANCHOR}), 400)


@pytest.mark.parametrize("route", POSTS)
def test_a_huge_body_is_refused(comfy, route):
    body = json.dumps({"anchor": " " * 3_000_000}).encode()
    assert "at most" in _refused(_send(comfy, "POST", route, body=body), 413)
    assert "at most" in _refused(_post(comfy, route, {"anchor": " " * 1_500_000}))


@pytest.mark.parametrize("route", POSTS)
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"anchor": NaN}', b"[" * 100_000, b"9" * 9_999],
)
def test_a_body_that_is_no_object_is_refused(comfy, route, body):
    _refused(_send(comfy, "POST", route, body=body), 400)


@pytest.mark.parametrize("route", POSTS)
def test_only_json_is_read(comfy, route):
    headers = {"Content-Type": "text/plain"}  # what a form on another page could send
    answer = _send(comfy, "POST", route, body=b"{}", headers=headers)
    assert "application/json" in _refused(answer, 415)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "192.168.0.7:8188", "Origin": "http://elsewhere.example"},
        {"Host": "192.168.0.7:8188", "Origin": "null"},
        {"Host": "192.168.0.7:8188", "Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("route", POSTS)
def test_pages_of_other_sites_are_refused(comfy, route, headers):
    # On a loopback address ComfyUI itself refuses; this is one of a local network.
    body = json.dumps({**VALUES, "anchor": ANCHOR}).encode()
    answer = _send(comfy, "POST", route, body=body, headers=headers)
    if answer != (403, None):  # newer hosts refuse some of it themselves, without a word
        assert "own page" in _refused(answer, 403)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("route", [*POSTS, "calibration"])
def test_other_methods_are_refused(comfy, route, method):
    assert "method" in _refused(_send(comfy, method, route, body=b"{}"), 405)


@pytest.mark.parametrize("route", GETS)
def test_missing_and_overlong_queries_are_refused(comfy, route):
    _refused(_send(comfy, "GET", route), 400)
    key = "node" if route == "calibration" else "name"
    query = {"values": "{}", "workflow": "8d4a"}
    assert key in _refused(_send(comfy, "GET", route, query={**query, key: "x" * 5_000}), 400)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("budget", "10"), ("budget", 1e400), ("budget", True), ("budget", 10**30), ("budget", None),
        ("steps", -1), ("steps", 10.5), ("steps", [50]), ("rho", 9), ("rho", "nan"), ("rho", None),
        ("anchor_rho", 1), ("anchor_rho", "yes"), ("anchor", 7), ("anchor", {}), ("anchor", "{}"),
        ("anchor", "\ud800"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(comfy, field, value):
    answer = _post(comfy, "schedule", {**VALUES, "anchor": ANCHOR, field: value})
    assert field in _refused(answer, 400)


@fuzz
@given(document=json_values, route=st.sampled_from(POSTS))
def test_any_json_is_answered_or_refused(comfy, document, route):
    _refused(_post(comfy, route, document), 400)


@fuzz
@given(change=st.dictionaries(st.sampled_from([*VALUES, "anchor", "name"]), json_values))
def test_any_values_are_answered_or_refused(comfy, change):
    status, document = _post(comfy, "schedule", {**VALUES, "anchor": ANCHOR, **change})
    assert status == 200 or (status == 400 and document["error"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", "8"), ("steps", 0), ("steps", 10**30), ("steps", 8.5), ("part", 1),
        ("part", None), ("denoise", "all"), ("denoise", 2), ("sampler_name", 7),
        ("sampler_name", "x" * 5_000),
    ],
)  # fmt: skip
def test_a_wrong_value_of_a_run_is_named(comfy, field, value):
    run = {**ADVICE["runs"][0], field: value}
    assert field in _refused(_post(comfy, "advice", {**ADVICE, "runs": [run]}), 400)


def test_more_runs_than_a_page_has_are_refused(comfy):
    answer = _post(comfy, "advice", {**ADVICE, "runs": ADVICE["runs"] * 9})
    assert "at most 8 runs" in _refused(answer, 400)


@fuzz
@given(
    run=st.dictionaries(st.sampled_from([*ADVICE["runs"][0]]), json_values),
    rest=st.dictionaries(st.sampled_from([*ADVICE]), json_values),
)
def test_any_run_is_advised_on_or_refused(comfy, run, rest):
    runs = [{**ADVICE["runs"][0], **run}]
    status, document = _post(comfy, "advice", {**ADVICE, "runs": runs, **rest})
    assert status == 200 or (status == 400 and document["error"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", "4"), ("steps", 0), ("steps", 1001), ("computed_steps", [0, 9]),
        ("computed_steps", [2, 0]), ("computed_steps", []), ("computed_steps", "02"),
        ("estimator", "guess"), ("estimator", None), ("look_back", [7]), ("look_back", [1, 1]),
    ],
)  # fmt: skip
def test_a_wrong_value_of_an_edited_schedule_is_named(comfy, field, value):
    schedule = {**EDIT["schedule"], field: value}
    assert field in _refused(_post(comfy, "edit", {**EDIT, "schedule": schedule}), 400)


@pytest.mark.parametrize("body", [{"mask": 7}, {"mask": None}, {"mask": "1", "schedule": []}])
def test_an_edit_takes_a_text_and_a_schedule(comfy, body):
    _refused(_post(comfy, "edit", body), 400)


def test_an_edit_of_nothing_is_refused(comfy):
    assert "neither does" in _refused(_post(comfy, "edit", {"mask": ""}), 400)


@fuzz
@given(
    mask=st.text("01 ,[]\n2x", max_size=30) | json_values,
    schedule=st.dictionaries(st.sampled_from([*EDIT["schedule"]]), json_values),
)
def test_any_edit_is_answered_or_refused(comfy, mask, schedule):
    body = {"mask": mask, "schedule": {**EDIT["schedule"], **schedule}}
    status, document = _post(comfy, "edit", body)
    assert status == 200 or (status == 400 and document["error"])


@fuzz
@given(data=st.data())
def test_a_damaged_anchor_is_answered_or_refused(comfy, data):
    document = json.loads(ANCHOR)
    key = data.draw(st.sampled_from(sorted(document)))
    document[key] = data.draw(json_values)
    for route in ("check", "schedule"):
        status, answer = _post(comfy, route, {**VALUES, "anchor": json.dumps(document)})
        assert status == 200 or (status == 400 and answer["error"])
