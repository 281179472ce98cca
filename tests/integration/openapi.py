"""Whether the example service's OpenAPI document is one, by the rules of OpenAPI 3.1 for what it uses, and whether the
service answers as it says: each answer that is documented is provoked, and its type and body are those.

usage: openapi.py URL up|other|refuses|down
Prints "N answers", or what is wrong. other: "car" and "tom" are lists; refuses: the service may neither read nor write
hashes; down: its Redis is gone.
"""
import json
import re
import sys
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator

EXTENSIONS = {"^x-": True}


def fields(needed=(), /, **known):
    return {"type": "object", "required": list(needed), "properties": known, "patternProperties": EXTENSIONS,
            "additionalProperties": False}


def mapping(pattern, of, **more):
    return {"type": "object", "propertyNames": {"pattern": pattern}, "additionalProperties": of, **more}


def of(name):
    return {"$ref": f"#/$defs/{name}"}


TEXT = {"type": "string"}
METHODS = "get", "put", "post", "delete", "options", "head", "patch", "trace"
RULES = {
    **fields(["openapi", "info"], openapi={"type": "string", "pattern": r"^3\.1\.\d+$"}, info=of("info"),
             jsonSchemaDialect=TEXT, servers={"type": "array"}, paths=mapping("^/", of("item")),
             components=fields(schemas=mapping("^[A-Za-z0-9._-]+$", of("schema")),
                               responses=mapping("^[A-Za-z0-9._-]+$", of("response")))),
    "anyOf": [{"required": [part]} for part in ("paths", "components", "webhooks")],
    "$defs": {
        "info": fields(["title", "version"], title=TEXT, version=TEXT, summary=TEXT, description=TEXT),
        "item": fields(summary=TEXT, description=TEXT, parameters=of("parameters"),
                       **{method: of("operation") for method in METHODS}),
        "operation": fields(operationId=TEXT, summary=TEXT, description=TEXT, tags={"type": "array", "items": TEXT},
                            deprecated={"type": "boolean"}, parameters=of("parameters"), requestBody=of("body"),
                            responses=mapping("^([1-5]([0-9][0-9]|XX)|default)$", of("response"), minProperties=1)),
        "parameters": {"type": "array", "uniqueItems": True, "items": {
            **fields(["name", "in"], name=TEXT, description=TEXT, required={"type": "boolean"}, schema=of("schema"),
                     content=of("content"), example=True, **{"in": {"enum": ["path", "query", "header", "cookie"]}}),
            "oneOf": [{"required": ["schema"]}, {"required": ["content"]}],
            "if": {"properties": {"in": {"const": "path"}}}, "then": {"required": ["required"],
                                                                       "properties": {"required": {"const": True}}}}},
        "body": fields(["content"], description=TEXT, content=of("content"), required={"type": "boolean"}),
        "response": fields(["description"], description=TEXT, headers={"type": "object"}, content=of("content")),
        "content": mapping("^[^/ ]+/[^/ ]+$", of("media")),
        "media": {**fields(schema=of("schema"), example=True, examples={"type": "object"}),
                  "not": {"required": ["example", "examples"]}},
        "schema": {"type": ["object", "boolean"]},
    },
}


def within(value):
    """Each object of a document."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from within(part)


def target(document, reference):
    assert reference.startswith("#/"), reference
    for part in reference[2:].split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def validator(document, schema):
    """The document's references are those of its schemas."""
    return Draft202012Validator({**schema, "components": document["components"]})


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item, item[method]


def look_at(document):
    """What a schema can say of it, and what it cannot."""
    Draft202012Validator.check_schema(RULES)
    for wrong in Draft202012Validator(RULES).iter_errors(document):
        raise AssertionError(f"{'/'.join(map(str, wrong.absolute_path))}: {wrong.message[:300]}")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for part in within(document):
        if "$ref" in part:
            target(document, part["$ref"])
        if "schema" in part:
            Draft202012Validator.check_schema(part["schema"])
            if "example" in part:
                validator(document, part["schema"]).validate(part["example"])
    names = [operation["operationId"] for _, _, _, operation in operations(document)]
    assert len(set(names)) == len(names), names
    for path, _, item, operation in operations(document):
        parameters = item.get("parameters", []) + operation.get("parameters", [])
        declared = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
        assert sorted(declared) == sorted(re.findall(r"{([^}]+)}", path)), path


def ask(url, method, body, kind):
    headers = {"Content-Type": kind} if kind else {}
    request = urllib.request.Request(url, body, headers, method=method.upper())
    try:
        answer = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return str(answer.status), answer.headers.get_content_type(), answer.read().decode()


JSON = "application/json"
# What provokes each of the answers: the operation, {name}, a body (None: the document's example) and its type.
ASKED = [
    ("hello", "", None, JSON), ("red", "", None, JSON), ("metrics", "", None, JSON), ("putCar", "tom", None, JSON),
    ("putCar", "a%2Fb%20%C3%A9", '{"\u00e9\\u0000":"\\ud83d\\ude97"}', JSON), ("getCar", "tom", None, JSON),
    ("getCar", "a%2Fb%20%C3%A9", None, JSON), ("getCar", "nobody", None, JSON), ("putCar", "tom", "{", JSON),
    ("putCar", "tom", "\xff", JSON), ("putCar", "tom", '{"a":"b"}', "text/plain"), ("putCar", "tom", "[]", JSON),
    ("putCar", "tom", "{}", JSON), ("putCar", "tom", '{"a":5}', JSON), ("putCar", "tom", " " * (1 << 20) + "{}", JSON),
]
OF_REDIS = [("red", "", None, JSON), ("putCar", "tom", None, JSON), ("getCar", "tom", None, JSON)]
ONLY = {"other": "409", "refuses": "500", "down": "503"}


def main():
    url, only = sys.argv[1], ONLY.get(sys.argv[2])
    status, kind, text = ask(url + "/openapi.json", "get", None, None)
    assert (status, kind) == ("200", JSON), (status, kind)
    document = json.loads(text)
    look_at(document)
    by_name = {operation["operationId"]: (path, method, operation)
               for path, method, _, operation in operations(document)}
    documented = {(name, status) for name, (_, _, operation) in by_name.items() for status in operation["responses"]
                  if (status == only if only else status not in ONLY.values())}
    seen = set()
    for name, car, body, kind in OF_REDIS if only else ASKED:
        path, method, operation = by_name[name]
        content = operation.get("requestBody", {}).get("content", {})
        if content:
            body = json.dumps(content[JSON]["example"]) if body is None else body
        data = body.encode("latin-1" if body == "\xff" else "utf-8") if content else None
        status, given, text = ask(url + path.replace("{name}", car), method, data, kind if content else None)
        assert status in operation["responses"], f"{name}: {status} is not documented: {text}"
        media = operation["responses"][status]["content"]
        assert list(media) == [given], f"{name}, {status}: {given}, not {list(media)}"
        validator(document, media[given]["schema"]).validate(json.loads(text) if given == JSON else text)
        if status != "200":
            assert json.loads(text)["status"] == int(status), text
        seen.add((name, status))
    assert seen == documented, f"documented, and not so: {documented - seen}; and the other way: {seen - documented}"
    print(f"{len(seen)} answers")


main()
