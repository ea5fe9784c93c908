// Elements and text. Nothing here turns text into markup, so nothing that a server says can become part of the page.

// make("div.a.b", {id: "x", onclick: f}, children…); children that are null or false are left out.
function make(what, attributes, ...children) {
  const [tag, ...classes] = what.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// Sentences with `code` and **weight**, in paragraphs.
function prose(text) {
  return (text || "").trim().split(/\n\s*\n/).filter(Boolean).map((part) => make("p", null, inline(part)));
}

function inline(text) {
  return (text || "").split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(Boolean).map((part) => {
    if (part.length > 2 && part.startsWith("`")) return make("code", null, part.slice(1, -1));
    if (part.length > 4 && part.startsWith("**")) return make("strong", null, part.slice(2, -2));
    return part;
  });
}

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null)\b|([{}[\],])/g;

// JSON with colours. The text stays as it is, digit by digit.
function coloured(text) {
  const out = [];
  let last = 0;
  for (const found of text.matchAll(TOKEN)) {
    if (found.index > last) out.push(text.slice(last, found.index));
    const [whole, string, colon, number, word] = found;
    if (string) out.push(make(colon ? "span.k" : "span.s", null, string), colon || "");
    else if (number) out.push(make("span.n", null, number));
    else if (word) out.push(make("span.w", null, word));
    else out.push(whole);
    last = found.index + whole.length;
  }
  out.push(text.slice(last));
  return out;
}

// JSON text with line breaks. Not by way of JSON.parse: that would round long decimals and large numbers.
function indented(text) {
  let depth = 0;
  let out = "";
  const line = () => "\n" + "  ".repeat(depth);
  for (const piece of text.match(/"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g) || []) {
    if (piece === "{" || piece === "[") {
      depth += 1;
      out += piece + line();
    } else if (piece === "}" || piece === "]") {
      depth -= 1;
      const empty = /[{[]\s*$/.test(out);
      out = empty ? out.trimEnd() + piece : out + line() + piece;
    } else if (piece === ",") out += piece + line();
    else out += piece === ":" ? ": " : piece;
  }
  return out;
}

function codeBlock(text, label, paint = coloured) {
  const button = make("button.copy", { type: "button", "aria-label": "Copy", onclick: () => copy(text, button) }, "Copy");
  return make("div.code", null, label && make("div.label", null, label), button, make("pre", null, paint(text)));
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // On plain HTTP from another machine there is no clipboard of that kind.
    const area = make("textarea", { "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1200);
}
