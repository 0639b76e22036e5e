"""APIs that an OpenAPI document describes, against a server on the loopback."""

import asyncio
import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fireact.errors import ConfigError, ToolError, ToolUnavailable
from fireact.plugins import build, check
from fireact.requests import Act
from fireact.store import identity
from fireact.tool.openapi import OpenAPI, compact
from fireact.toolspec import ToolSpec, shortened
from tests.loopback import Loopback, Reply, script, serve

WEATHER: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Weather", "version": "1"},
    "servers": [{"url": "http://{host}/api/v1/", "variables": {"host": {"default": "127.0.0.1:9"}}}],
    "paths": {
        "/cities/{city}/forecast": {
            "parameters": [{"$ref": "#/components/parameters/City"}],
            "get": {
                "operationId": "getForecast", "summary": "says what the weather will be.",
                "parameters": [
                    {"name": "days", "in": "query", "description": "how many\ndays", "schema": {
                        "type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 14}},
                    {"name": "units", "in": "query", "schema": {"$ref": "#/components/schemas/Units"}},
                    {"name": "hours", "in": "query", "schema": {"type": "array", "items": {"type": "integer"}}},
                    {"name": "fields", "in": "query", "explode": False, "schema": {
                        "type": "array", "items": {"type": "string"}}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}}],
                "responses": {200: {"description": "it"}}},
            "put": {"operationId": "setForecast", "responses": {}}},
        "/cities": {"get": {"operationId": "listCities", "responses": {}}, "head": {"responses": {}}},
        "/search": {"get": {"operationId": "search_cities", "description": "Finds cities.", "responses": {},
                            "parameters": [{"name": "q", "in": "query", "required": True,
                                            "schema": {"type": "string"}}]}},
        "/status/{code}": {"get": {"responses": {}, "parameters": [
            {"name": "code", "in": "path", "required": True, "schema": {"type": "integer"}}]}},
    },
    "components": {
        "parameters": {"City": {"name": "city", "in": "path", "required": True, "schema": {"type": "string"}}},
        "schemas": {"Units": {"type": "string", "enum": ["metric", "imperial"], "nullable": True, "x-go": 1}}},
}


def changed(**parameter: Any) -> dict[str, Any]:
    """The document with something else as the forecast's first parameter."""
    other = deepcopy(WEATHER)
    other["paths"]["/cities/{city}/forecast"]["get"]["parameters"][0] = parameter
    return other


def without(*keys: str) -> dict[str, Any]:
    other = deepcopy(WEATHER)
    part = other
    for name in keys[:-1]:
        part = part[name]
    del part[keys[-1]]
    return other


def named(name: str) -> dict[str, Any]:
    """The document with another name for its list of cities."""
    other = deepcopy(WEATHER)
    other["paths"]["/cities"]["get"]["operationId"] = name
    return other


def again(first: str, each: str) -> str:
    """Twelve levels of YAML, each of which holds the one before nine times."""
    return f"x0: &x0 {first}\n" + "".join(
        f"x{n}: &x{n} {each.format(', '.join([f'*x{n - 1}'] * 9))}\n" for n in range(1, 12))


BOMB, MERGES = again("lol", "[{}]"), again("{a: 1}", "{{<<: [{}]}}")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(lambda asked: Reply({"asked": dict(asked), "list": [1, 2]}), "") as this:
        yield this


def api(folder: Path, server: Loopback | None = None, document: Any = WEATHER, **options: Any) -> OpenAPI:
    path = folder / "weather.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    base = {} if server is None else {"base_url": f"{server.url}/api/v1/"}
    return OpenAPI(home=folder, document=path, **{"allow": ("getForecast", "listCities", "search_cities"),
                                                  "retries": 0, **base, **options})


def call(tool: OpenAPI, name: str, argument: str) -> str:
    async def run() -> str:
        try:
            return (await tool(Act(name, argument))).text
        finally:
            await tool.close()

    return asyncio.run(run())


def test_operations_are_actions_with_typed_arguments(tmp_path: Path) -> None:
    tool = api(tmp_path)
    assert tool.actions == tool.stateless == ("get_forecast", "list_cities", "search_cities")
    assert [str(spec) for spec in tool.specs] == [
        "get_forecast[{city: string, days?: integer, units?: metric|imperial, hours?: array, fields?: array}] says "
        "what the weather will be.", "list_cities[{}] /cities", "search_cities[q: string] Finds cities."]
    assert tool.specs[0].properties["days"] == {
        "type": "integer", "exclusiveMinimum": 0, "maximum": 14, "description": "how many days"}
    assert tool.specs[0].properties["units"] == {"type": ["string", "null"], "enum": ["metric", "imperial"]}
    assert api(tmp_path, allow=("GET /status/{code}",)).actions == ("get_status_code",)


def test_an_answer_is_shown_compactly_and_asked_for_once(tmp_path: Path, server: Loopback) -> None:
    tool = api(tmp_path, server)
    argument = json.dumps({"city": "São Paulo", "days": 3, "hours": [6, 18], "fields": ["wind", "rain"]})
    told = '{"asked": {"days": "3", "hours": "18", "fields": "wind,rain"}, "list": [1, 2]}'
    assert [call(tool, "get_forecast", argument) for _ in range(2)] == [told] * 2
    assert call(api(tmp_path, server), "get_forecast", argument) == told
    assert call(tool, "search_cities", "Paris & Rome") == '{"asked": {"q": "Paris & Rome"}, "list": [1, 2]}'
    assert call(tool, "list_cities", "") == '{"asked": {}, "list": [1, 2]}'
    assert server.paths == ["/api/v1/cities/S%C3%A3o%20Paulo/forecast", "/api/v1/search", "/api/v1/cities"]


@pytest.mark.parametrize(("argument", "sentence"), [
    ("Paris", "get_forecast takes a JSON object, not 'Paris'"),
    ('{"days": 3}', "'city' is a required property"),
    ('{"city": "Paris", "days": "many"}', "the argument 'days' of get_forecast does not fit: 'many' is not of type"),
    ('{"city": "Paris", "days": 0}', "0 is less than or equal to the minimum of 0"),
    ('{"city": "Paris", "units": "kelvin"}', r"'kelvin' is not one of \['metric', 'imperial'\]"),
    ('{"city": "Paris", "host": "evil"}', "'host' was unexpected"),
    *((json.dumps({"city": city}), "the argument 'city' of get_forecast cannot be")
      for city in ("", ".", "..", "../../admin", "a/../b", "..\\x", "a\nb", "/../")),
])
def test_what_does_not_fit_is_told_to_the_model_and_not_sent(tmp_path: Path, server: Loopback, argument: str,
                                                             sentence: str) -> None:
    with pytest.raises(ToolError, match=sentence):
        call(api(tmp_path, server), "get_forecast", argument)
    assert server.paths == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(city=st.one_of(st.text(min_size=1), st.text("./\\%@:?#&;+ evil", min_size=1)))
def test_no_argument_changes_the_host_or_leaves_the_path(tmp_path: Path, server: Loopback, city: str) -> None:
    before = len(server.paths)
    try:
        call(api(tmp_path, server), "get_forecast", json.dumps({"city": city}))
    except ToolError:
        return
    for path in server.paths[before:]:
        head, _, tail = path.removeprefix("/api/v1/cities/").partition("/")
        assert path.startswith("/api/v1/cities/")
        assert tail == "forecast"
        assert not set("?#\\@") & set(head)


@pytest.mark.parametrize("city", ["//evil.example/x", "evil.example", "@evil.example", "%2e%2e/x", "a/b", "{city}"])
def test_names_of_hosts_and_slashes_are_encoded(tmp_path: Path, server: Loopback, city: str) -> None:
    call(api(tmp_path, server), "get_forecast", json.dumps({"city": city}))
    assert len(server.paths) == 1
    assert server.paths[0].count("/") == len(["", "api", "v1", "cities", "", "forecast"]) - 1


@pytest.mark.parametrize(("reply", "kind", "sentence"), [
    (Reply({"message": "no such city"}, 404), ToolError, "Weather answered with status 404: no such city"),
    (Reply({"error": {"message": "bad days"}}, 400), ToolError, "status 400: bad days"),
    (Reply({"type": "x", "detail": "not yours"}, 403), ToolError, "status 403: not yours"),
    (Reply("nothing here", 404), ToolError, "status 404: 'nothing here'"),
    (Reply("", 302, {"Location": "http://evil.example/"}), ToolError,
     "sends this request on to 'http://evil.example/', which is not followed"),
    (Reply({"error": "no key"}, 401), ConfigError, "Weather refuses the request: no key"),
    (Reply({"error": "down"}, 503), ToolUnavailable, "Weather failed with status 503: down; start the same command"),
    (Reply(drop=True), ToolUnavailable, "Weather cannot be reached"),
])
def test_failures_are_typed_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Reply,
                                         kind: type[Exception], sentence: str) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(script(reply, Reply(["Paris"])), "") as server:
        tool = api(tmp_path, server)
        with pytest.raises(kind, match=sentence):
            call(tool, "list_cities", "{}")
        assert call(tool, "list_cities", "{}") == '["Paris"]'


def test_a_server_that_is_down_ends_the_episode(tmp_path: Path) -> None:
    with pytest.raises(ToolUnavailable, match="Weather cannot be reached"):
        call(api(tmp_path), "list_cities", "{}")


def test_headers_hold_secrets_that_are_on_the_wire_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("WEATHER_KEY", "very-secret-key")
    with serve(lambda asked: Reply({"note": "your key very-secret-key"}), "") as server:
        tool = api(tmp_path, server, headers={"X-Api-Key": "$WEATHER_KEY"})
        assert call(tool, "list_cities", "{}") == '{"note": "your key ***"}'
        assert server.headers[0]["X-Api-Key"] == "very-secret-key"
        monkeypatch.delenv("WEATHER_KEY")
        with pytest.raises(ConfigError, match=r"X-Api-Key is to hold \$WEATHER_KEY, and this environment variable is"):
            call(tool, "search_cities", "Paris")
    assert b"very-secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"X-Api-Key holds a secret, .* e\.g\. \{X-Api-Key: \$MY_KEY\}"):
        check({"_target_": "fireact.tool.openapi.OpenAPI", "headers": {"X-Api-Key": "very-secret-key"}}, "tool")


LOOP = changed(name="days", schema={"$ref": "#/x"}, **{"in": "query"}) | {"x": {"type": "array", "items": {
    "$ref": "#/x"}}}
DEEP: dict[str, Any] = {"type": "string"}
for _ in range(200):
    DEEP = {"type": "array", "items": DEEP}
WIDE = changed(name="days", schema={"$ref": "#/x0"}, **{"in": "query"}) | {
    f"x{n}": {"anyOf": [{"$ref": f"#/x{n + 1}"}] * 10} for n in range(9)} | {"x9": {"type": "string"}}


@pytest.mark.parametrize(("document", "options", "sentence"), [
    ("{", {}, "cannot be read as an OpenAPI document: .*; give one in JSON or YAML"),
    ("a: [", {}, "cannot be read as an OpenAPI document"),
    ("just a text", {}, "is to be an OpenAPI document of version 3 and is none"),
    ({"swagger": "2.0"}, {}, "is one of version 2.0; name one, or convert it"),
    (WEATHER | {"paths": []}, {}, r"paths is to be an object, and is '\[\]'"),
    (WEATHER | {"servers": [{"url": "/api"}]}, {}, "does not say where the API is: its first server is '/api'; set ba"),
    (WEATHER, {"base_url": "example.org"}, "base_url=example.org is no address to which paths can be added"),
    (WEATHER, {"base_url": "http://x/?a=b"}, "is no address to which paths can be added"),
    (WEATHER, {"base_url": "http://me:word@x/"}, r"base_url holds a password, .* headers: \{Authorization: "),
    (WEATHER, {"allow": ()}, r"may call nothing; allow operations of .*: allow=\[listCities, getForecast, search_cit"),
    (WEATHER, {"allow": ("getForcast",)}, r"allow names 'getForcast', of which .* has 0 \(did you mean getForecast"),
    (WEATHER, {"allow": ("setForecast",)}, "allow names 'setForecast', which is a PUT: only a GET reads"),
    (WEATHER, {"allow": ("HEAD /cities",)}, "which is a HEAD: only a GET reads without changing anything and shows"),
    (WEATHER, {"allow": ("listCities", "listCities")}, "two operations that are both called list_cities"),
    (changed(**{"$ref": "#/nowhere"}), {}, "refers to '#/nowhere', which is not there"),
    (changed(**{"$ref": "http://evil.example/x"}), {}, "refers to 'http://evil.example/x', which is elsewhere"),
    (LOOP, {}, "refers to '#/x', which holds itself"),
    (WIDE, {}, "has references to more than 5000 values"),
    (changed(name="days", schema=DEEP, **{"in": "query"}), {}, "is nested more than 100 levels deep"),
    (changed(name="days", schema={"$dynamicRef": "#x"}, **{"in": "query"}), {}, "has a \\$dynamicRef, which is not f"),
    (WEATHER | {"paths": {"/a": {"$ref": "#/x"}}, "x": {"$ref": "#/x"}}, {}, "refers to '#/x', which refers to itself"),
    (WEATHER | {"servers": [{"url": "http://me:word@x/"}]}, {}, r"the first server of .*weather\.yaml holds a passwor"),
    ("a: &a [*a]", {}, "cannot be read as an OpenAPI document: Circular reference"),
    (BOMB, {}, "cannot be read as an OpenAPI document: its aliases stand for far more than is written"),
    (MERGES, {}, "cannot be read as an OpenAPI document: its aliases stand for far more than is written"),
    ("? !!binary aGVsbG8=\n: 5", {}, "cannot be read as an OpenAPI document: keys must be"),
    (named("获取"), {"allow": ("获取",)}, "allow names '获取', by which no model can call an action, for it has none"),
    (named("Finish"), {"allow": ("Finish",)}, "allow names 'Finish', .* for 'finish' has a meaning of its own; take"),
    (changed(name="days", schema={"type": "integre"}, **{"in": "query"}), {}, "'getForecast' of .* is broken"),
    (changed(name="days", schema={"type": "object"}, **{"in": "query"}), {}, "takes an object as days, which no addr"),
    (changed(name="Token", required=True, **{"in": "header"}), {}, r"needs the header Token, .* headers: \{Token: "),
    (changed(name="city", schema={}, **{"in": "query"}), {}, "has two parameters of the same name"),
    (changed(name="other", schema={}, **{"in": "path"}), {}, "has the path '/cities/{city}/forecast' and the path par"),
    (without("components", "parameters", "City"), {}, "refers to '#/components/parameters/City', which is not there"),
])
def test_what_is_wrong_is_said_before_anything_is_played(tmp_path: Path, document: Any, options: dict[str, Any],
                                                         sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as failure:
        assert api(tmp_path, document=document, **options).actions
    assert "\n" not in str(failure.value)


def test_a_header_that_is_needed_may_be_given(tmp_path: Path) -> None:
    document = changed(name="Token", required=True, **{"in": "header"})
    assert api(tmp_path, document=document, headers={"token": "$WEATHER_KEY"}).actions


def test_an_operation_with_a_server_of_its_own_needs_an_address(tmp_path: Path) -> None:
    document = deepcopy(WEATHER)
    document["paths"]["/cities"]["servers"] = [{"url": "http://other.example"}]
    with pytest.raises(ConfigError, match=r"'listCities' of .* has a server of its own; set base_url"):
        assert api(tmp_path, document=document).actions
    assert api(tmp_path, document=document, base_url="http://other.example").actions


def test_a_document_may_be_json_and_counts_by_its_content(tmp_path: Path) -> None:
    one, other = tmp_path / "a.json", tmp_path / "b.json"
    for path in (one, other):
        path.write_text(json.dumps(WEATHER))
    node = {"_target_": "fireact.tool.openapi.OpenAPI", "document": str(one), "allow": ["listCities"]}
    assert build(node, "tool", home=tmp_path).actions == ("list_cities",)
    assert identity(node) == identity({**node, "document": str(other)})
    other.write_text(json.dumps({**WEATHER, "openapi": "3.1.0"}))
    assert identity(node) != identity({**node, "document": str(other)})
    with pytest.raises(ConfigError, match=r"nowhere\.yaml does not exist"):
        identity({**node, "document": "nowhere.yaml"})


def test_a_long_answer_is_cut_and_says_so() -> None:
    assert shortened(compact('{"a":\n [1,2]}'), 8) == '{"a": [1... (the first 8 of 13 characters)'
    assert shortened(compact(""), 8) == "The answer is empty."
    assert compact('"a text"') == "a text"
    assert compact("[" * 100_000) == "[" * 100_000
    assert compact("<b>no JSON</b>\n") == "<b>no JSON</b>"


def test_a_pattern_that_python_does_not_know_is_left_to_the_api(tmp_path: Path) -> None:
    document = changed(name="days", schema={"type": "string", "pattern": "(?<day>x)"}, **{"in": "query"})
    spec: ToolSpec = api(tmp_path, document=document).specs[0]
    assert spec.properties["days"] == {"type": "string"}


def test_what_is_not_allowed_may_be_as_it_likes(tmp_path: Path) -> None:
    """Types that hold themselves are common, and only parameters are looked at."""
    document = deepcopy(WEATHER)
    node = {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Node"}}}
    document["components"]["schemas"]["Node"] = node
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}}
    document["paths"]["/tree"] = {
        "get": {"operationId": "getTree", "responses": {"200": body}, "parameters": [
            {"name": "node", "in": "query", "schema": {"$ref": "#/components/schemas/Node"}}]},
        "post": {"requestBody": {"$ref": "http://example.org/other.yaml#/body"}}}
    document["paths"]["/cities"]["get"]["responses"] = {"200": body}
    document["paths"]["/search"] = {"$ref": "#/components/pathItems/search"}
    document["components"]["pathItems"] = {"search": WEATHER["paths"]["/search"]}
    assert api(tmp_path, document=document).specs == api(tmp_path).specs
    with pytest.raises(ConfigError, match="refers to '#/components/schemas/Node', which holds itself"):
        assert api(tmp_path, document=document, allow=("getTree",)).specs


def test_dates_may_be_keys_of_yaml(tmp_path: Path) -> None:
    text = yaml.safe_dump({**WEATHER, "x-day": "DAY"}).replace("DAY", "{2024-01-01: 2024-01-02}")
    assert api(tmp_path, document=text).actions
    assert api(tmp_path, document=text)._document.root["x-day"] == {"2024-01-01": "2024-01-02"}
