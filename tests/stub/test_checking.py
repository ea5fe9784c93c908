"""`stub check`: everything that is wrong with scripts, and what can never answer."""

from pathlib import Path

import pytest

from otari.stub.checking import check_scripts

GOOD = "stub: 1\nrules:\n- {id: a, when: {user: a}, reply: b}\n"


def written(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        path = folder / f"{name}.yaml"
        path.write_text(text)
    return [str(folder / f"{name}.yaml") for name in files]


def check(paths: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    code = check_scripts(paths)
    told = capsys.readouterr()
    return code, told.err.splitlines(), told.out


def test_a_good_script_is_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(written(tmp_path, s=GOOD), capsys) == (0, [], "1 rules: in order\n")


def test_everything_that_is_wrong_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """\
stub: 1
rules:
- id: a
  when:
    on: x
    usr: hello
  reply: {sya: x}
- {id: a, when: {user: "/(/"}, reply: "${nobody}"}
"""
    (path,) = written(tmp_path, s=text)
    code, lines, out = check([path], capsys)
    assert (code, out) == (2, "")
    assert [line.removeprefix(f"otari: {path}, ") for line in lines] == [
        "line 5: rules[0].when.on: unknown key; known: body, has, hash, header, key, last, model, session, step,"
        " stream, surface, system, thought, tool_result, tools, turn, user",
        "line 6: rules[0].when.usr: unknown key; did you mean 'user'?",
        "line 7: rules[0].reply: says nothing; give say, think, call, json, blocks or error",
        "line 7: rules[0].reply.sya: unknown key; did you mean 'say'?",
        "line 8: rules[1].when.user: is not a regular expression: missing ), unterminated subpattern at position 0",
        "line 8: rules[1].reply: ${nobody} is filled by nothing; known: body.PLACE, call, lorem:20, model, session,"
        " tool_result, turn, user; write $${ for a plain ${",
        "line 8: rules[1].id: 'a' is the id of rules[0] already",
    ]


def test_rules_that_can_never_answer_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "stub: 1\nrules:\n- {id: all, reply: x}\n- {id: some, when: {user: hello}, reply: y}\n"
    (path,) = written(tmp_path, s=text)
    code, lines, _ = check([path], capsys)
    assert code == 0
    assert lines == [f"otari: {path}, line 4: rule 'some' can never answer: 'all' fits all that it fits"]


def test_patterns_that_do_not_come_to_an_end_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = written(tmp_path, s='stub: 1\nrules:\n- {id: slow, when: {user: "/(x+x+)+y/"}, reply: y}\n')
    code, lines, _ = check([path], capsys)
    assert code == 0
    assert lines == [f"otari: {path}, line 3: rule 'slow' has a pattern that takes too long: /(x+x+)+y/"]


def test_patterns_of_faults_and_steps_are_tried_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "stub: 1\nrules:\n- {id: loop, steps: [a, {expect: {tool_result: '/(b+)+c/'}, say: b}]}\n"
        "faults:\n- {id: bad, when: {user: '/(x+x+)+y/'}, do: {error: 500}}\n"
    )
    (path,) = written(tmp_path, s=text)
    assert check([path], capsys)[1] == [
        f"otari: {path}, line 3: rule 'loop' has a pattern that takes too long: /(b+)+c/",
        f"otari: {path}, line 5: fault 'bad' has a pattern that takes too long: /(x+x+)+y/",
    ]


# The second of each pair can never answer, for the first fits all that it fits.
HIDDEN = (
    ("{}", "{user: x}"),
    ("{user: hello}", "{user: hello you}"),
    ("{user: hello}", "{user: =hello}"),
    ("{user: '/^h/'}", "{user: =hello}"),
    ("{user: '/^h/'}", "{user: '/^h/', turn: 1}"),
    ("{model: 'gpt-*'}", "{model: 'gpt-*', tools: [f]}"),
    ("{tools: f}", "{tools: [g, f]}"),
    ("{surface: [chat, messages]}", "{surface: chat}"),
    ("{turn: '>=1'}", "{turn: 3}"),
    ("{step: '<3'}", "{step: '<=2'}"),
    ("{header: {x-a: b}}", "{header: {x-a: abc}, stream: true}"),
    ("{body: {a: 1}}", "{body: {a: 1, b: 2}}"),
    ("{hash: '00112233'}", "{hash: '0011223344'}"),
)
SEEN = (
    ("{user: hello}", "{user: hell}"),
    ("{user: =hello}", "{user: hello}"),
    ("{user: '/^h/'}", "{user: hello}"),  # it may stand anywhere
    ("{user: '/(h+)+$/'}", "{user: =hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh!}"),  # nobody waits to find out
    ("{model: gpt-4}", "{model: 'gpt-*'}"),
    ("{surface: chat}", "{user: x}"),
    ("{turn: '>1'}", "{turn: 1}"),
    ("{stream: true}", "{}"),
    ("{header: {x-a: b}}", "{header: {x-b: b}}"),
    ("{system: a}", "{user: a}"),
)


@pytest.mark.parametrize(("pair", "hidden"), [*((pair, True) for pair in HIDDEN), *((pair, False) for pair in SEEN)])
def test_which_rules_hide_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pair: tuple[str, str], hidden: bool
) -> None:
    rules = (
        f"- {{id: {name}, when: {when}, reply: x}}\n" for name, when in zip(("first", "second"), pair, strict=True)
    )
    text = f"stub: 1\nrules:\n{''.join(rules)}"
    lines = check(written(tmp_path, s=text), capsys)[1]
    assert any("'second' can never answer" in line for line in lines) is hidden


@pytest.mark.parametrize("kind", ["steps: [x]", "replies: [x]", "replies: [x], after: miss"])
def test_a_rule_with_an_end_hides_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    text = f"stub: 1\nrules:\n- {{id: first, {kind}}}\n- {{id: second, reply: y}}\n"
    assert check(written(tmp_path, s=text), capsys)[1] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stub: [1", "not valid YAML"),
        ("stub: 1\nstub: 1\n", "line 2: key 'stub' stands twice (first on line 1)"),
        ("stub: 1\ninclude: a.yaml\n", "line 2: include: must be a list of file names and presets"),
        ("stub: 1\ninclude: [preset:opencod]\n", "include: there is no preset 'opencod'; did you mean `opencode`?"),
        ("stub: 1\ninclude: [gone.yaml]\n", "gone.yaml: no such file"),
        ("stub: 1\ninclude: [s.yaml]\n", "include goes round in a circle: s.yaml → "),
    ],
)
def test_what_is_no_script_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    code, lines, _ = check(written(tmp_path, s=text), capsys)
    assert code == 2
    assert len(lines) == 1
    assert told in lines[0]


def test_a_longer_circle_is_told_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {a: f"stub: 1\ninclude: [{b}.yaml]\n" for a, b in ("ab", "bc", "ca")}
    code, (line,), _ = check(written(tmp_path, **files)[:1], capsys)
    assert code == 2
    assert "a.yaml → b.yaml → c.yaml → " in line


def test_what_is_included_stands_before_and_is_taken_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = "stub: 1\nrules: [{id: f, reply: x}]\n"
    more = "stub: 1\ninclude: [first.yaml]\nrules: [{id: m, reply: x}]\n"
    last = "stub: 1\ninclude: [first.yaml, more.yaml]\nrules: [{id: l, reply: x}]\n"
    paths = written(tmp_path, first=first, more=more, last=last)
    code, lines, out = check(paths[2:], capsys)
    assert (code, out) == (0, "3 rules: in order\n")
    assert [line.split("rule ")[1] for line in lines] == [
        "'m' can never answer: 'f' fits all that it fits",
        "'l' can never answer: 'f' fits all that it fits",
    ]


def test_a_folder_is_all_the_scripts_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scripts").mkdir()
    written(tmp_path / "scripts", a=GOOD, b=GOOD.replace("id: a", "id: b"))
    assert check([str(tmp_path / "scripts")], capsys)[2] == "2 rules: in order\n"
    (tmp_path / "none").mkdir()
    code, (line,), _ = check([str(tmp_path / "none")], capsys)
    assert (code, "no script in this folder" in line) == (2, True)


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_wrong_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        check_scripts(words)
    assert capsys.readouterr().err.count("\n") == 1
