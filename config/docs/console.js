// Trying an operation: fields, the call itself, and its answer as it comes.

const SHOWN_MAX = 200_000; // characters of an answer that are put on the page

function consoleOf(operation) {
  const inputs = operation.parameters.map((parameter) => ({ parameter, input: parameterInput(operation, parameter) }));
  const texts = examplesOf(operation);
  const body = isForm(operation) ? formInput(operation) : bodyOf(operation) ? bodyInput(operation, texts) : null;
  const output = make("div.output", { "aria-live": "polite" });
  const send = make("button.send", { type: "submit", title: "Ctrl+Enter" }, `Send ${operation.method}`);
  if (operation.method === "DELETE") send.classList.add("danger");
  const stop = make("button.stop", { type: "button", hidden: true }, "Stop");
  const call = () => callOf(operation, inputs, body);
  const form = make(
    "form.console",
    {
      onsubmit: (event) => {
        event.preventDefault();
        run(call(), output, send, stop);
      },
      onkeydown: (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
      },
    },
    inputs.map(({ parameter, input }) =>
      make("label.input", null, make("span", null, parameter.name, parameter.required && make("b", null, " *")), input)),
    body && body.panel,
    make("div.actions", null, send, stop, curlButton(operation, call)),
    output
  );
  return form;
}

function parameterInput(operation, parameter) {
  const choices = parameter.schema.enum;
  const name = `${operation.id}-${parameter.name}`;
  if (choices) return make("select", { name }, ["", ...choices].map((one) => make("option", null, String(one))));
  const told = parameter.schema.default === undefined ? typeName(parameter.schema) : String(parameter.schema.default);
  return make("input", {
    name, placeholder: told, required: parameter.required, autocomplete: "off", spellcheck: "false",
  });
}

function bodyInput(operation, texts) {
  const area = make("textarea", {
    name: `${operation.id}-body`, spellcheck: "false", "aria-label": "Body", autocomplete: "off",
  });
  const fit = () => (area.rows = Math.min(24, Math.max(3, area.value.split("\n").length)));
  area.addEventListener("input", fit);
  area.fill = (text) => {
    area.value = text;
    fit();
  };
  area.fill(Object.values(texts)[0]);
  return {
    panel: bodyPanel(area, texts),
    told: () => ({ headers: { "Content-Type": "application/json" }, body: area.value }),
  };
}

// The fields of a form: texts, and files of this machine.
function formInput(operation) {
  const inputs = formFields(operation).map((field) => {
    const name = `${operation.id}-${field.name}`;
    const text = { name, value: field.given ?? "", placeholder: typeName(field.told), autocomplete: "off" };
    return { ...field, input: make("input", field.isFile ? { name, type: "file" } : text) };
  });
  const filled = () => inputs.filter(({ input }) => input.value !== "");
  return {
    panel: make("div.body", null, make("div.label", null, "Form"), inputs.map(({ name, required, input }) =>
      make("label.input", null, make("span", null, name, required && make("b", null, " *")), input))),
    told: () => {
      const form = new FormData();
      for (const { name, isFile, input } of filled()) form.append(name, isFile ? input.files[0] : input.value);
      const shown = ({ name, isFile, input }) => [name, isFile ? `@${input.files[0].name}` : input.value];
      return { headers: {}, body: form, fields: filled().map(shown) };
    },
  };
}

function bodyPanel(area, texts) {
  const titles = Object.keys(texts);
  const pick = titles.length > 1 &&
    make("div.pick", { role: "group", "aria-label": "Examples" }, titles.map((title) =>
      make("button", { type: "button", onclick: () => area.fill(texts[title]) }, title)));
  return make("div.body", null, make("div.label", null, "Body", pick), area);
}

function curlButton(operation, call) {
  const button = make("button.copy", { type: "button" }, "Copy as curl");
  button.addEventListener("click", async () => {
    const { path, headers, body, fields } = call();
    const { "Content-Type": _type, Authorization: _key, ...others } = headers;
    await copy(curl(operation, path, others, fields ? undefined : body, fields), button);
    setTimeout(() => (button.textContent = "Copy as curl"), 1200);
  });
  return button;
}

function callOf(operation, inputs, body) {
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "" && parameter.in === "query") query.append(parameter.name, input.value);
    else if (input.value !== "") headers[parameter.name] = input.value;
  }
  if ([...query].length) path += `?${query}`;
  const told = body ? body.told() : {};
  Object.assign(headers, told.headers);
  const key = document.getElementById("key").value.trim();
  if (key && operation.schemes.length) headers.Authorization = `Bearer ${key}`;
  return { method: operation.method, path, headers, body: told.body, fields: told.fields };
}

async function run({ method: name, path, headers, body }, output, send, stop) {
  const abort = new AbortController();
  stop.hidden = false;
  stop.onclick = () => abort.abort();
  send.disabled = true;
  const began = performance.now();
  output.replaceChildren(make("div.result", null, make("span.muted", null, "Waiting…")));
  try {
    const response = await fetch(base() + path.slice(1), {
      method: name, headers, body, signal: abort.signal, cache: "no-store", credentials: "omit", redirect: "manual",
    });
    await show(response, output, began);
  } catch (error) {
    const told = abort.signal.aborted ? "Stopped." : `No answer, or one that broke off (${error.message}).`;
    output.append(make("p.failed", null, told));
    output.querySelector(".muted")?.remove();
  } finally {
    stop.hidden = true;
    send.disabled = false;
  }
}

async function show(response, output, began) {
  const took = make("span.took", null, `${since(began)} to the head`);
  const type = response.headers.get("Content-Type") || "";
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  output.replaceChildren(
    make("div.result", null, statusMark(response.status), make("span.told", null, response.statusText), took),
    make("details.headers", null, make("summary", null, "Headers"), make("pre", null, headers))
  );
  if (type.startsWith("text/event-stream")) await showStream(response, output, began);
  else showWhole(await response.text(), type, output);
  took.textContent = since(began);
}

function showWhole(text, type, output) {
  if (text === "") return;
  const cut = text.length > SHOWN_MAX;
  const json = type.startsWith("application/json") && !cut;
  const shown = json ? indented(text) : text.slice(0, SHOWN_MAX) + (cut ? "\n… (cut)" : "");
  const block = json ? codeBlock(shown, "Body") : make("div.code", null, make("pre", null, shown));
  output.append(block);
}

// The text of the answer as it grows, and below it the events just as they came.
async function showStream(response, output, began) {
  const said = make("div.said");
  const raw = make("pre");
  const count = make("span", null, "Events");
  output.append(said, make("details.events", { open: true }, make("summary", null, count), raw));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let events = 0;
  let length = 0;
  let first = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    first ||= since(began);
    length += value.length;
    if (length <= SHOWN_MAX) raw.append(value);
    raw.scrollTop = raw.scrollHeight;
    const frames = (rest + value).split(/\r?\n\r?\n/);
    rest = frames.pop();
    events += frames.length;
    said.append(frames.map(spoken).join(""));
    count.textContent = `${events} events, the first after ${first}`;
  }
}

// What one frame adds to the answer's text.
function spoken(frame) {
  const data = frame.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
  try {
    const chunk = JSON.parse(data.join("\n"));
    return (chunk.choices || []).map((choice) => (choice.delta || {}).content || "").join("");
  } catch {
    return ""; // [DONE], or a comment
  }
}

function since(began) {
  const ms = performance.now() - began;
  return ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(2)} s`;
}
