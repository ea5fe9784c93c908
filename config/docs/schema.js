// JSON Schema → words, rows and samples.

let components = {};

function resolved(schema) {
  const name = (schema && schema.$ref) || "";
  return name ? { ...components[name.split("/").pop()], ...schema, $ref: undefined } : schema || {};
}

// A schema without its null, and whether it had one.
function withoutNull(schema) {
  const whole = resolved(schema);
  const choices = whole.anyOf || whole.oneOf;
  if (!choices) return [whole, false];
  const rest = choices.filter((choice) => choice.type !== "null");
  const nullable = rest.length < choices.length;
  if (rest.length !== 1) return [{ ...whole, anyOf: rest, oneOf: undefined }, nullable];
  return [{ ...resolved(rest[0]), ...whole, anyOf: undefined, oneOf: undefined }, nullable];
}

function typeName(schema) {
  const [plain, nullable] = withoutNull(schema);
  return bareName(plain) + (nullable ? " or null" : "");
}

function bareName(schema) {
  if (schema.anyOf && !schema.type) return schema.anyOf.map(typeName).join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.length === 1 ? JSON.stringify(schema.enum[0]) : typeof schema.enum[0];
  if (schema.type === "array") return "list of " + (schema.items ? typeName(schema.items) : "anything");
  if (schema.type === "object" || schema.properties) return schema.title || "object";
  return [schema.type || "anything"].flat().join(" or ");
}

// Limits in words; the values of an enumeration and examples are shown as they are.
function limits(schema) {
  const [plain] = withoutNull(schema);
  const words = [];
  const range = (low, high, unit) => {
    if (low !== undefined && high !== undefined) words.push(`${low} to ${high}${unit}`);
    else if (low === 1 && unit) words.push("not empty");
    else if (low !== undefined) words.push(`at least ${low}${unit}`);
    else if (high !== undefined) words.push(`at most ${high}${unit}`);
  };
  range(plain.minimum, plain.maximum, "");
  if (plain.exclusiveMinimum !== undefined) words.push(`more than ${plain.exclusiveMinimum}`);
  if (plain.exclusiveMaximum !== undefined) words.push(`less than ${plain.exclusiveMaximum}`);
  range(plain.minLength, plain.maxLength, " characters");
  range(plain.minItems, plain.maxItems, " items");
  if (plain.format) words.push(plain.format);
  const empty = plain.default && typeof plain.default === "object" && !Object.keys(plain.default).length;
  if (plain.default !== undefined && plain.default !== null && !empty) {
    words.push(`default ${JSON.stringify(plain.default)}`);
  }
  return words.join(", ");
}

function choicesOf(schema) {
  const [plain] = withoutNull(schema);
  return plain.enum && plain.enum.length > 1 ? plain.enum : [];
}

// The object inside a schema, if there is one: itself, the items of a list, one of several choices.
function inner(schema) {
  const [plain] = withoutNull(schema);
  if (plain.properties) return plain;
  if (plain.type === "array" && plain.items) return inner(plain.items);
  for (const choice of plain.anyOf || []) {
    const found = inner(choice);
    if (found) return found;
  }
  return null;
}

// One row per field, with the fields of objects below it folded away.
function fieldRows(schema, seen = []) {
  const object = inner(schema);
  if (!object) return [make("p.muted", null, sentence(typeName(schema)))];
  const required = object.required || [];
  return Object.entries(object.properties).map(([name, told]) =>
    fieldRow(name, told, required.includes(name), [...seen, object.title])
  );
}

function fieldRow(name, schema, isRequired, seen) {
  const below = inner(schema);
  const nested = below && !seen.includes(below.title);
  const told = resolved(schema).description;
  const repeats = below && told === below.description; // the text of the type, not of the field
  return make(
    "div.field",
    null,
    make(
      "div.head",
      null,
      make("code.name", null, name),
      make("span.type", null, typeName(schema)),
      isRequired && make("span.required", null, "required"),
      make("span.limits", null, limits(schema))
    ),
    told && !repeats && make("div.told", null, inline(told)),
    choicesOf(schema).length > 0 &&
      make("div.choices", null, choicesOf(schema).map((one) => make("code", null, String(one)))),
    nested && make("details.nested", null, make("summary", null, below.title || "fields"), fieldRows(below, seen))
  );
}

// A value that fits: what is named as an example, else what the type says. Optional fields only when they are wanted.
function sample(schema, whole, seen = []) {
  const [plain, nullable] = withoutNull(schema);
  if (plain.examples && plain.examples.length) return plain.examples[0];
  if (plain.const !== undefined) return plain.const;
  if (plain.enum) return plain.enum[0];
  if (plain.default !== undefined && plain.default !== null) return plain.default;
  if (plain.anyOf && !plain.type) return plain.anyOf.length ? sample(plain.anyOf[0], whole, seen) : null;
  if (plain.properties) {
    if (seen.includes(plain.title)) return {};
    const wanted = Object.entries(plain.properties).filter(
      ([name, told]) => whole || (plain.required || []).includes(name) || resolved(told).examples
    );
    return Object.fromEntries(wanted.map(([name, told]) => [name, sample(told, whole, [...seen, plain.title])]));
  }
  if (nullable && whole) return null;
  switch ([plain.type].flat()[0]) {
    case "array": return plain.items && inner(plain.items) ? [sample(plain.items, whole, seen)] : [];
    case "object": return {};
    case "integer": case "number": return plain.minimum || 0;
    case "boolean": return false;
    case "string": return plain.format === "date-time" ? "2026-01-01T00:00:00+00:00" : "…";
    default: return null;
  }
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + ".";
}
