// The page: its navigation, search, colours, and the beginning of it all.

function reading() {
  return document.documentElement.dataset.layout === "reading";
}

// The gateway's own address, also behind a proxy that puts a path before it.
function base() {
  return new URL(".", location.href).href;
}

function introduction(doc) {
  const [first, ...others] = (doc.info.description || "").split(/\n\s*\n/);
  return make(
    "section.intro",
    { id: "top" },
    make("h1", null, `${doc.info.title} API`),
    make("p.lead", null, inline(first)),
    make("p.address", null, make("span.label", null, "Base URL"), make("code", null, base().replace(/\/$/, ""))),
    make("div.notes", null, prose(others.join("\n\n")))
  );
}

function groupSection(group) {
  return make(
    "section.group",
    { "aria-labelledby": `group-${group.name}` },
    make("h2", { id: `group-${group.name}` }, title(group.name)),
    make("div.text", null, prose(group.text)),
    group.operations.map(operationCard)
  );
}

function title(name) {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function navigation(groups) {
  return groups.map((group) =>
    make(
      "section",
      null,
      make("h2", null, title(group.name)),
      group.operations.map((operation) =>
        make(
          "a",
          {
            href: `#${operation.id}`,
            "data-words": `${operation.method} ${operation.path} ${operation.summary} ${group.name}`.toLowerCase(),
          },
          method(operation.method),
          make("span.words", null, operation.summary, make("small", null, operation.path))
        )
      )
    )
  );
}

// Typing narrows the list, arrows choose, Enter goes there, Escape gives everything back.
function searchable(field, list) {
  const links = () => [...list.querySelectorAll("a")].filter((link) => !link.hidden);
  const narrow = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const link of list.querySelectorAll("a")) {
      link.hidden = !words.every((word) => link.dataset.words.includes(word));
      link.classList.remove("chosen");
    }
    for (const group of list.children) group.hidden = !group.querySelector("a:not([hidden])");
    if (words.length && links()[0]) links()[0].classList.add("chosen");
  };
  const move = (step) => {
    const all = links();
    const at = all.findIndex((link) => link.classList.contains("chosen"));
    const next = all[Math.min(all.length - 1, Math.max(0, at + step))];
    all.forEach((link) => link.classList.toggle("chosen", link === next));
    if (next) next.scrollIntoView({ block: "nearest" });
  };
  field.addEventListener("input", narrow);
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Enter") list.querySelector("a.chosen")?.click();
    else if (event.key === "Escape") {
      field.value = "";
      narrow();
      field.blur();
    } else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
    const wanted = (event.key === "/" && !typing) || (event.key === "k" && (event.ctrlKey || event.metaKey));
    if (!wanted) return;
    event.preventDefault();
    openSide(true);
    field.focus();
    field.select();
  });
}

function openSide(open) {
  document.documentElement.classList.toggle("side-open", open);
  document.getElementById("menu").setAttribute("aria-expanded", String(open));
}

// The operation that is being looked at is marked in the list.
function followScroll(list) {
  const links = new Map([...list.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        for (const [id, link] of links) link.classList.toggle("here", id === target.id);
        links.get(target.id)?.scrollIntoView({ block: "nearest" });
      }
    },
    { rootMargin: "-15% 0px -75% 0px" }
  );
  for (const card of document.querySelectorAll("article.operation")) watcher.observe(card);
}

function colours() {
  const root = document.documentElement;
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  document.getElementById("theme").addEventListener("click", () => (root.dataset.theme = dark() ? "light" : "dark"));
}

function keyField() {
  const field = document.getElementById("key");
  const button = document.getElementById("reveal");
  field.value = ""; // some browsers bring fields back after a reload
  button.addEventListener("click", () =>
    button.setAttribute("aria-pressed", String(!field.classList.toggle("veiled"))));
}

async function begin() {
  colours();
  keyField();
  document.getElementById(reading() ? "to-reading" : "to-console").setAttribute("aria-current", "page");
  document.getElementById("menu").addEventListener("click", () =>
    openSide(!document.documentElement.classList.contains("side-open")));
  const content = document.getElementById("content");
  let doc;
  try {
    const response = await fetch(base() + "openapi.json", { credentials: "omit" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    doc = await response.json();
  } catch (error) {
    document.getElementById("wait").textContent = `The reference can not be loaded: ${error.message}.`;
    return;
  }
  components = (doc.components || {}).schemas || {};
  const groups = byTag(doc, operationsOf(doc));
  document.getElementById("version").textContent = doc.info.version;
  const list = document.getElementById("operations");
  list.append(...navigation(groups));
  list.addEventListener("click", () => openSide(false));
  content.replaceChildren(introduction(doc), ...groups.map(groupSection));
  searchable(document.getElementById("search"), list);
  followScroll(list);
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  document.documentElement.dataset.ready = "true";
}

begin();
