"""The description of the server's addresses in the format OpenAPI 3.1."""

from typing import Any

from mocliplite import __version__
from mocliplite.serving.clips import Settings

_NUMBERS = {"type": "object", "additionalProperties": {"type": "number"}}
_CLASS = {
    "type": "object",
    "required": ["class", "probability"],
    "properties": {"class": {"type": "string"}, "probability": {"type": "number"}},
}
_PREDICTION = {
    "type": "object",
    "required": ["clip", "classes", "shares", "milliseconds"],
    "properties": {
        "clip": {"type": "string", "description": "`name` or `path` of the request"},
        "threshold": {"type": "number", "description": "only of models with several classes per clip"},
        "classes": {"type": "array", "items": _CLASS, "description": "the most probable first"},
        "shares": {**_NUMBERS, "description": "contribution of each stream to the logit of the first class"},
        "milliseconds": {**_NUMBERS, "description": "by phase"},
    },
}
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_REFUSALS = {
    "400": "a parameter is wrong, or the body is empty",
    "401": "the token is missing or wrong",
    "403": "the path leads out of the folder of the server, or the server has none, or the host is not this machine",
    "405": "the method is not POST",
    "408": "the upload took too long",
    "413": "the clip is too large",
    "415": "the body is a form",
    "422": "the clip cannot be used; the sentence is that of `mocliplite predict`",
    "500": "the recogniser failed",
    "503": "the queue is full, the server is stopping, or its machine failed; send the clip again",
}


def document(settings: Settings) -> dict[str, Any]:
    """Return the document for a server with these settings."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "MoCLIP-Lite", "version": __version__},
        "paths": {
            "/predict": {"post": _predict(settings.max_size)},
            "/health": {"get": _get("Whether the server takes clips: 200, or 503 while it stops.", "application/json")},
            "/metrics": {"get": _get("Counts and times for Prometheus.", "text/plain")},
            "/openapi.json": {"get": _get("This document.", "application/json")},
        },
        **({"security": [{"token": []}]} if settings.token else {}),
        "components": {
            "schemas": {"Prediction": _PREDICTION, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _predict(max_size: int) -> dict[str, Any]:
    return {
        "summary": "Classify the clip in the body, or the file of `path`.",
        "parameters": [
            _parameter("name", "string", "file name of the clip in the body; its ending may tell the format"),
            _parameter("path", "string", "a file in the folder of the server, instead of the body"),
            _parameter("top", "integer", "number of classes in the answer (5)"),
        ],
        "requestBody": {
            "description": f"the bytes of a clip, at most {max_size}",
            "content": {"application/octet-stream": {}},
        },
        "responses": {
            "200": _answer("the classes of the clip", "Prediction"),
            **{status: _answer(text, "Error") for status, text in _REFUSALS.items()},
        },
    }


def _get(summary: str, kind: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "the answer", "content": {kind: {}}}}}


def _parameter(name: str, kind: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": kind}, "description": description}


def _answer(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}
