"""What `docs/doors.md` promises of all doors, held against the OpenAPI documents: no route can be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from importlib import import_module
from typing import Any

from fastapi import FastAPI

from tests.rooms import SERVICES

DONE_ONCE_WITHOUT_A_KEY = {
    "account POST /v1/registrations/{registration_id}/confirm": "the registration is its key",
    "account POST /v1/cancellations/{reference}/confirm": "the token is its key",
    "account POST /v1/account/second-factor": "a secret that was prepared before is replaced",
    "account POST /v1/account/agreements": "the version is its key",
    "requests POST /v1/package-links/{link}/code": "a new code takes the place of the one before",
    "requests POST /v1/staff/requests/{request_id}/preview": "to count anew once more is to count anew",
}
SHORT_LISTS = {
    "account GET /v1/account/agreements": "one for each version of the policy",
    "requests GET /v1/packages": "one for each access that was answered within a day",
    "requests GET /v1/requests/{reference}/said": "what staff have said about one request",
    "device GET /v1/readings/latest": "one for each device of a person",
}


def operations() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Read every operation of every service: its name, what it says, and the schemas that it names."""
    for service in SERVICES:
        app = FastAPI()
        app.include_router(import_module(f"services.{service}.api").router)
        document = app.openapi()
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                yield f"{service} {method.upper()} {path}", operation, document["components"]["schemas"]


def parameters(operation: dict[str, Any]) -> set[str]:
    return {each["name"] for each in operation.get("parameters", ())}


def answer(operation: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Look up what an operation answers as JSON."""
    body = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
    named = body.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = schemas[named] if named else body
    return found


def test_every_path_has_its_version() -> None:
    assert [name for name, _, _ in operations() if not name.split()[2].startswith("/v1/")] == []


def test_what_creates_takes_a_key_or_says_why_not() -> None:
    created = {str(status.value) for status in (HTTPStatus.CREATED, HTTPStatus.ACCEPTED)}
    creates = [(name, parameters(op)) for name, op, _ in operations() if created & op["responses"].keys()]

    assert {name for name, taken in creates if "Idempotency-Key" not in taken} == set(DONE_ONCE_WITHOUT_A_KEY)
    assert len(creates) > len(DONE_ONCE_WITHOUT_A_KEY)


def test_every_list_comes_page_by_page_or_says_why_not() -> None:
    answers = [(name, parameters(op), answer(op, schemas)) for name, op, schemas in operations()]
    whole = {name for name, _, said in answers if said.get("type") == "array"}
    paged = {name: taken for name, taken, said in answers if "next" in said.get("properties", {})}

    assert whole == set(SHORT_LISTS)
    assert len(paged) > len(SHORT_LISTS)
    assert [name for name, taken in paged.items() if not taken >= {"limit", "after"}] == []
