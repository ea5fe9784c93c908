// One operation: what it does, what it takes, what it answers.

const METHODS = ["get", "post", "put", "patch", "delete"];

// The operations of a document in the order of their tags, each with all that the page needs to know of it.
function operationsOf(doc) {
  const found = [];
  for (const [path, item] of Object.entries(doc.paths)) {
    for (const method of METHODS) {
      if (!item[method]) continue;
      const operation = item[method];
      found.push({
        ...operation,
        id: operation.operationId,
        method: method.toUpperCase(),
        path,
        tag: (operation.tags || ["other"])[0],
        parameters: operation.parameters || [],
        schemes: (operation.security || []).map((one) => Object.keys(one)[0]),
      });
    }
  }
  return found;
}

function byTag(doc, operations) {
  const names = (doc.tags || []).map((tag) => tag.name);
  for (const operation of operations) if (!names.includes(operation.tag)) names.push(operation.tag);
  return names.map((name) => ({
    name,
    text: ((doc.tags || []).find((tag) => tag.name === name) || {}).description,
    operations: operations.filter((operation) => operation.tag === name),
  })).filter((group) => group.operations.length);
}

// The body that an operation takes, in the one type that it takes.
function bodyOf(operation) {
  return operation.requestBody ? Object.values(operation.requestBody.content)[0] : null;
}

function isForm(operation) {
  return Boolean(operation.requestBody && operation.requestBody.content["multipart/form-data"]);
}

// The fields of a form, with the values to begin with.
function formFields(operation) {
  const { schema, examples } = bodyOf(operation);
  const object = inner(schema);
  const given = (Object.values(examples || {})[0] || {}).value || {};
  return Object.entries(object.properties).map(([name, told]) => ({
    name,
    told,
    given: given[name],
    isFile: withoutNull(told)[0].format === "binary",
    required: (object.required || []).includes(name),
  }));
}

// Title → body text, to begin with.
function examplesOf(operation) {
  const body = bodyOf(operation);
  if (!body || isForm(operation)) return {};
  const given = Object.entries(body.examples || {}).map(([title, one]) => [title, one.value]);
  const bodies = given.length ? given : [["smallest", sample(body.schema)]];
  return Object.fromEntries(bodies.map(([title, value]) => [title, JSON.stringify(value, null, 2)]));
}

function method(name) {
  return make(`span.method.${name.toLowerCase()}`, null, name === "DELETE" ? "DEL" : name);
}

function pathText(path) {
  return path.split(/(\{[^}]+\})/).map((part) => (part.startsWith("{") ? make("em", null, part) : part));
}

function access(operation) {
  if (operation.schemes.includes("master")) return make("span.access.master", null, "master key");
  if (operation.schemes.length) return make("span.access", null, "key");
  return make("span.access.open", null, "no key");
}

function section(title, ...content) {
  return make("section.part", null, make("h4", null, title), content);
}

function parameterRows(operation) {
  return operation.parameters.map((parameter) =>
    make(
      "div.field",
      null,
      make(
        "div.head",
        null,
        make("code.name", null, parameter.name),
        make("span.type", null, `${typeName(parameter.schema)}, in ${parameter.in}`),
        parameter.required && make("span.required", null, "required"),
        make("span.limits", null, limits(parameter.schema))
      ),
      parameter.description && make("div.told", null, inline(parameter.description)),
      choicesOf(parameter.schema).length > 0 &&
        make("div.choices", null, choicesOf(parameter.schema).map((one) => make("code", null, String(one))))
    )
  );
}

function answers(operation) {
  const rows = Object.entries(operation.responses);
  const good = rows.filter(([status]) => status < 300);
  const bad = rows.filter(([status]) => status >= 300);
  return [
    good.map(([status, response]) => {
      const kinds = Object.keys(response.content || {});
      const json = (response.content || {})["application/json"];
      return make(
        "div.answer",
        null,
        make("div.head", null, statusMark(status), make("span.told", null, response.description),
          make("span.type", null, kinds.join(", "))),
        json && inner(json.schema) && make("details.nested", { open: reading() },
          make("summary", null, typeName(json.schema)), fieldRows(json.schema))
      );
    }),
    make("details.refusals", { open: reading() },
      make("summary", null, "Refusals and failures ", bad.map(([status]) => statusMark(status))),
      bad.map(([status, response]) =>
        make("div.head", null, statusMark(status), make("span.told", null, response.description)))
    ),
  ];
}

function statusMark(status) {
  return make(`span.status.s${String(status)[0]}`, null, String(status));
}

function operationCard(operation) {
  const body = bodyOf(operation);
  return make(
    "article.operation",
    { id: operation.id, "aria-labelledby": `${operation.id}-title` },
    make(
      "div.facts",
      null,
      make("h3", { id: `${operation.id}-title` }, make("a", { href: `#${operation.id}` }, operation.summary)),
      make("div.path", null, method(operation.method), make("code", null, pathText(operation.path)), access(operation)),
      prose(operation.description),
      operation.parameters.length > 0 && section("Parameters", parameterRows(operation)),
      body && section("Body", fieldRows(body.schema)),
      section("Answers", answers(operation))
    ),
    make("div.aside", null, reading() ? samples(operation) : consoleOf(operation))
  );
}

// In the reading layout: the call as a curl line, and an answer as it may look.
function samples(operation) {
  const texts = examplesOf(operation);
  const content = Object.values(operation.responses).map((one) => (one.content || {})["application/json"])[0];
  const good = Object.keys(operation.responses).find((status) => status < 300);
  const json = ((operation.responses[good] || {}).content || {})["application/json"];
  return [
    codeBlock(curl(operation, operation.path, {}, Object.values(texts)[0], sampleFields(operation)), "Request", inPlain),
    content && json && inner(json.schema) &&
      codeBlock(JSON.stringify(sample(json.schema, true), null, 2), `Answer ${good}`),
  ];
}

function sampleFields(operation) {
  if (!isForm(operation)) return [];
  return formFields(operation)
    .filter((field) => field.isFile || field.given !== undefined)
    .map((field) => [field.name, field.isFile ? "@name-of-the-file" : String(field.given)]);
}

// Shell text: only what is in quotes has a colour.
function inPlain(text) {
  return text.split(/("[^"]*")/).map((part, at) => (at % 2 ? make("span.s", null, part) : part));
}

// `fields` are those of a form, files with an @ in front of their name.
function curl(operation, path, headers, body, fields = []) {
  const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";
  const parts = [`curl ${operation.method === "GET" ? "" : `-X ${operation.method} `}${quoted(base() + path.slice(1))}`];
  if (operation.schemes.length) {
    parts.push(`-H "Authorization: Bearer $${operation.schemes.includes("master") ? "OTARI_MASTER_KEY" : "OTARI_KEY"}"`);
  }
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  for (const [name, value] of fields) parts.push(`-F ${quoted(`${name}=${value}`)}`);
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(body)}`);
  return parts.join(" \\\n  ");
}
