"""The form of an answer as both dialects of OpenAI describe it: a JSON schema with a name, and whether it is strict."""

from otari.domain.chat import Doc, Shape


def read_schema(told: Doc) -> Shape | None:
    """The form that is described; None when it holds no schema."""
    schema, name, strict = told.get("schema"), told.get("name"), told.get("strict")
    if not isinstance(schema, dict):
        return None
    name = name if isinstance(name, str) else None
    return Shape("json_schema", name, schema, strict if isinstance(strict, bool) else None)


def write_schema(shape: Shape) -> Doc:
    """The description of a form; the wire demands a name."""
    told: Doc = {"name": shape.name or "answer", "schema": shape.schema or {}}
    return told if shape.strict is None else {**told, "strict": shape.strict}
