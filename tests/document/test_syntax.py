"""Text that is not YAML: the indentation, quote, bracket or character is named, at its place, with what to do."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from compartmentd.document.source import Source, decode
from compartmentd.document.yamldoc import parse
from compartmentd.problems import Problem


def problems(text: str) -> tuple[Problem, ...]:
    source = decode("f", text.encode())
    return parse(source).problems if isinstance(source, Source) else source


CASES = {
    "under": (
        "a:\n  b:\n     c: 1\n    d: 2\n",
        [
            (
                "4:5 yaml.syntax",
                "line 4 begins at column 5, and its neighbours at column 6",
                "begin it at column 6, with 5 spaces, as line 3 does",
            )
        ],
    ),
    "over": (
        "a:\n  b: 1\n   c: 2\n",
        [
            (
                "3:4 yaml.syntax",
                "line 3 begins at column 4, and its neighbours at column 3",
                "begin it at column 3, with 2 spaces, as line 2 does",
            )
        ],
    ),
    "over-flow": (
        "a:\n  b: {x: 1}\n   c: {x: 2}\n",
        [
            (
                "3:4 yaml.syntax",
                "line 3 begins at column 4, and its neighbours at column 3",
                "begin it at column 3, with 2 spaces, as line 2 does",
            )
        ],
    ),
    "over2": (
        "a:\n  b:\n    c: public\n     d: members\n",
        [
            (
                "4:6 yaml.syntax",
                "line 4 begins at column 6, and its neighbours at column 5",
                "begin it at column 5, with 4 spaces, as line 3 does",
            )
        ],
    ),
    "openq": (
        'a: "foo\nb: 1\n',
        [("1:4 yaml.syntax", "the quote that opens here is never closed", "close it in this line")],
    ),
    "openq2": (
        'a: "foo\nb: "bar"\n',
        [("1:4 yaml.syntax", "the quote that opens here is closed only in line 2", "close it in this line")],
    ),
    "openq3": (
        'a: {b: "foo, c: 1}\nd: "x"\n',
        [("1:8 yaml.syntax", "the quote that opens here is closed only in line 2", "close it in this line")],
    ),
    "openbr": (
        "a: [1, 2\nb: 1\n",
        [("1:4 yaml.syntax", "the `[` that opens here is not closed before line 2", "write the missing `]`")],
    ),
    "openbr2": (
        "a: {b: 1\nc: 1\n",
        [("1:4 yaml.syntax", "the `{` that opens here is not closed before line 2", "write the missing `}`")],
    ),
    "missing comma": (
        "a: {b: 1 c: 2}\n",
        [
            (
                "1:11 yaml.syntax",
                "`,` or `}` is missing before `:`, since a `{` is open",
                "text with `{` or `}` at its start, or inside of `{...}` and `[...]`, needs quotes",
            )
        ],
    ),
    "flowbrace": (
        "a: {scope: a{b}}\n",
        [
            (
                "1:13 yaml.syntax",
                "`,` or `}` is missing before `{`, since a `{` is open",
                "text with `{` or `}` at its start, or inside of `{...}` and `[...]`, needs quotes",
            )
        ],
    ),
    "nospace": (
        "version:1\nserver: {}\n",
        [("1:8 yaml.syntax", "a space is missing after this `:`", "write a space after it")],
    ),
    "nospace2": (
        "a: 1\nb:2\n",
        [("2:2 yaml.syntax", "a space is missing after this `:`", "write a space after it")],
    ),
    "nospace3": (
        "a:\n  b:2\n  c: 3\n",
        [("2:4 yaml.syntax", "a space is missing after this `:`", "write a space after it")],
    ),
    "colon": (
        "a: b: c\n",
        [("1:5 yaml.syntax", "this `:` makes a key of the text before it", 'write it in quotes: "b: c"')],
    ),
    "colon2": (
        "description: Foo: bar\n",
        [
            (
                "1:17 yaml.syntax",
                "this `:` makes a key of the text before it",
                'write it in quotes: "Foo: bar"',
            )
        ],
    ),
    "at": ("a: @x\n", [("1:4 yaml.syntax", "`@` cannot begin a text in YAML", 'write it in quotes: "@x"')]),
    "pct": ("a: %x\n", [("1:4 yaml.syntax", "`%` cannot begin a text in YAML", 'write it in quotes: "%x"')]),
    "tick": (
        "a: `x`\n",
        [("1:4 yaml.syntax", "a backtick cannot begin a text in YAML", 'write it in quotes: "`x`"')],
    ),
    "star": ("a: *\n", [("1:4 yaml.syntax", "`*` begins an alias in YAML", 'write it in quotes: "*"')]),
    "star2": ("a: [*]\n", [("1:5 yaml.syntax", "`*` begins an alias in YAML", 'write it in quotes: "*"')]),
    "amp": ("a: &\n", [("1:4 yaml.syntax", "`&` begins an anchor in YAML", 'write it in quotes: "&"')]),
    "esc": (
        'a: "[\\d]"\n',
        [
            (
                "1:6 yaml.syntax",
                "`\\d` is no escape in double quotes",
                "write the text in single quotes, in which a backslash is itself",
            )
        ],
    ),
    "listmix": (
        "a:\n- b\nc: 1\n- d\n",
        [
            (
                "4:1 yaml.syntax",
                "an item of a list stands among the keys of a mapping",
                "indent it below the key to which it belongs, or remove the `-`",
            )
        ],
    ),
    "listmix2": (
        "a:\n  b: 1\n  - c\n",
        [
            (
                "3:3 yaml.syntax",
                "an item of a list stands among the keys of a mapping",
                "indent it below the key to which it belongs, or remove the `-`",
            )
        ],
    ),
    "nocolon": ("a: 1\nfoo\nb: 2\n", [("2:1 yaml.syntax", "`foo` has no `:`", "write `KEY: VALUE`")]),
    "nbsp": (
        "a:\n\xa0\xa0b: 1\n  c: 2\n",
        [
            (
                "2:1 text.character",
                "U+00A0 (no-break space) stands before `b`, and no editor shows it",
                "remove it, and indent with plain spaces",
            )
        ],
    ),
    "nbsp2": (
        "a:\n  b: 1\n\xa0\xa0c: 2\n",
        [
            (
                "3:1 text.character",
                "U+00A0 (no-break space) stands before `c`, and no editor shows it",
                "remove it, and indent with plain spaces",
            )
        ],
    ),
    "nbsp3": (
        "a:\n  b: 1\u200b\n  c\u200b: 2\n",
        [
            (
                "2:7 text.character",
                "U+200B (zero width space) stands after `1`, and no editor shows it",
                "remove it",
            ),
            (
                "3:4 text.character",
                "U+200B (zero width space) stands after `c`, and no editor shows it",
                "remove it",
            ),
        ],
    ),
    "curly": (
        "a: \u201cfoo\u201d: x\n",
        [
            (
                "1:4 text.character",
                "U+201C (left double quotation mark) is no quote in YAML",
                'write straight quotes: "\u2026"',
            )
        ],
    ),
    "bom": (
        "a: 1\n\ufeffb: 1\n",
        [
            (
                "2:1 text.character",
                "U+FEFF (zero width no-break space) may not stand here, and no editor shows it",
                'remove it, or write "\\ufeff" in double quotes',
            )
        ],
    ),
    "lsep": (
        "a: 1\u2028b: 1\n",
        [
            (
                "1:5 text.character",
                "U+2028 (line separator) may not stand here, and no editor shows it",
                'remove it, or write "\\u2028" in double quotes',
            )
        ],
    ),
    "ctrl": (
        "a: \x07\n",
        [
            (
                "1:4 text.character",
                "U+0007 (a control character) may not stand here, and no editor shows it",
                'remove it, or write "\\u0007" in double quotes',
            )
        ],
    ),
    "tab": ("a:\n\tb: 1\n", [("2:1 yaml.tab", "a tab may not indent", "indent with spaces")]),
    "tab3": ("a:\n  b: 1\n\tc: 1\n", [("3:1 yaml.tab", "a tab may not indent", "indent with spaces")]),
    "dash": (
        "a:\n  - b\n - c\n",
        [
            (
                "3:2 yaml.syntax",
                "line 3 begins at column 2, and its neighbours at column 3",
                "begin it at column 3, with 2 spaces, as line 2 does",
            )
        ],
    ),
    "close2": (
        "a: [1]]\n",
        [
            (
                "1:7 yaml.syntax",
                "`]` follows a value that has ended",
                "remove it, or put quotes round the whole text",
            )
        ],
    ),
    "close3": (
        "}\n",
        [
            (
                "1:1 yaml.syntax",
                "not YAML: did not find expected node content",
                "text with `{` or `}` at its start, or inside of `{...}` and `[...]`, needs quotes",
            )
        ],
    ),
    "single": (
        "a: 'it's'\n",
        [
            (
                "1:8 yaml.syntax",
                "`s'` follows a value that has ended",
                "remove it, or put quotes round the whole text",
            )
        ],
    ),
    "pipe": (
        "a: |b\n  c\n",
        [("1:4 yaml.syntax", "`|` begins a text of several lines in YAML", 'write it in quotes: "|b"')],
    ),
    "gt": (
        "a: >x\n",
        [("1:4 yaml.syntax", "`>` begins a text of several lines in YAML", 'write it in quotes: ">x"')],
    ),
    "eof": (
        "a: {b: [1, 2}\n",
        [
            (
                "1:13 yaml.syntax",
                "`,` or `]` is missing before `}`, since a `[` is open",
                "text with `{` or `}` at its start, or inside of `{...}` and `[...]`, needs quotes",
            )
        ],
    ),
    "quotekey": (
        '"a: 1\n',
        [("1:1 yaml.syntax", "the quote that opens here is never closed", "close it in this line")],
    ),
    "quoted tail": (
        'a: "b" c\n',
        [
            (
                "1:8 yaml.syntax",
                "`c` follows a value that has ended",
                "remove it, or put quotes round the whole text",
            )
        ],
    ),
    "comma": (
        "a: , b\n",
        [
            (
                "1:4 yaml.syntax",
                "not YAML: did not find expected node content",
                "look for a missing `:`, an open quote or bracket, or a line not indented like its neighbours",
            )
        ],
    ),
    "hash": (
        "a: [1, #2]\n",
        [
            (
                "2:1 yaml.syntax",
                "not YAML: did not find expected node content",
                "look for a missing `:`, an open quote or bracket, or a line not indented like its neighbours",
            )
        ],
    ),
    "bracket text": (
        "join: [a] or b\n",
        [
            (
                "1:11 yaml.syntax",
                "`or b` follows a value that has ended",
                "remove it, or put quotes round the whole text",
            )
        ],
    ),
    "trap": (
        "a: yes\nb: 010\n",
        [
            (
                "1:4 yaml.trap",
                "`yes` without quotes is true or false to some readers of YAML and text to others",
                'write `true`, or "yes" if the text is meant',
            ),
            (
                "2:4 yaml.trap",
                "`010` without quotes is a number in octal to some readers of YAML and in decimal to others",
                'write "010" if the text is meant',
            ),
        ],
    ),
    "reports": (
        "namespaces:\n  /chat:\n    rooms:\n      a:\n          join: public\n         publish: members\n",
        [
            (
                "6:10 yaml.syntax",
                "line 6 begins at column 10, and its neighbours at column 11",
                "begin it at column 11, with 10 spaces, as line 5 does",
            )
        ],
    ),
    "too far by one": (
        "namespaces:\n  /chat:\n    connect: public\n     publish: members\n",
        [
            (
                "4:6 yaml.syntax",
                "line 4 begins at column 6, and its neighbours at column 5",
                "begin it at column 5, with 4 spaces, as line 3 does",
            )
        ],
    ),
    "in a list": (
        "rules:\n  a:\n    all:\n      - {scope: a}\n     - {scope: b}\n",
        [
            (
                "5:6 yaml.syntax",
                "line 5 begins at column 6, and its neighbours at column 7",
                "begin it at column 7, with 6 spaces, as line 4 does",
            )
        ],
    ),
    "deep list": (
        "a:\n  - b: 1\n    c: 2\n   d: 3\n",
        [
            (
                "4:4 yaml.syntax",
                "line 4 begins at column 4, and its neighbours at column 5",
                "begin it at column 5, with 4 spaces, as line 3 does",
            )
        ],
    ),
    "narrow space": (
        "a:\n\u202f\u202fb: 1\n",
        [
            (
                "2:1 text.character",
                "U+202F (narrow no-break space) stands before `b`, and no editor shows it",
                "remove it, and indent with plain spaces",
            )
        ],
    ),
    "ideographic": (
        "a:\n\u3000b: 1\n",
        [
            (
                "2:1 text.character",
                "U+3000 (ideographic space) stands before `b`, and no editor shows it",
                "remove it, and indent with plain spaces",
            )
        ],
    ),
    "soft hyphen": (
        "a: x\xad\n",
        [
            (
                "1:5 text.character",
                "U+00AD (soft hyphen) stands after `x`, and no editor shows it",
                "remove it",
            )
        ],
    ),
    "joiner in an open list": (
        "a: [b\u200d\nc: 1\n",
        [
            (
                "1:6 text.character",
                "U+200D (zero width joiner) stands in this line, which no editor shows",
                "write plain spaces",
            )
        ],
    ),
    "curly key": (
        "\u201ca: x\u201d: b: c\n",
        [
            (
                "1:1 text.character",
                "U+201C (left double quotation mark) is no quote in YAML",
                'write straight quotes: "\u2026"',
            )
        ],
    ),
    "guillemets": (
        "a: \xabx: y\n",
        [
            (
                "1:4 text.character",
                "U+00AB (left-pointing double angle quotation mark) is no quote in YAML",
                'write straight quotes: "\u2026"',
            )
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_named_at_its_place(text, expected):
    told = [
        (f"{each.span.line}:{each.span.column} {each.code}", each.message, each.help)
        for each in problems(text)
    ]
    assert told == expected


def test_the_line_is_shown_with_a_caret():
    (problem,) = problems("a:\n  b: 1\n   c: 2\n")
    assert problem.as_text() == (
        "f:3:4: error: line 3 begins at column 4, and its neighbours at column 3\n"
        "    3 |    c: 2\n"
        "           ^\n"
        "    help: begin it at column 3, with 2 spaces, as line 2 does"
    )


def test_what_no_editor_shows_is_a_dot_above_the_caret():
    problem = problems("a:\n\u00a0 b: 1\n")[0]
    assert problem.excerpt == "2 | · b: 1\n    ^"


def test_a_long_line_is_shown_around_its_place():
    (problem,) = problems(f"a: {'x' * 500} @y: z: {'x' * 500}\n")
    line, caret = problem.excerpt.split("\n")
    assert len(line) < 120
    assert line[caret.index("^")] == ":"


def test_the_json_form_holds_no_line_of_the_file():
    (problem,) = problems('secret: "hunter2\n')
    assert "hunter2" in problem.excerpt
    assert "hunter2" not in str(problem.as_json())
    assert "hunter2" not in str(problem)


@given(st.text(alphabet="ab:- \n\t[]{}\"'\u00a0\u201c*&|,#@", max_size=60))
def test_any_text_is_read_or_explained(text):
    for problem in problems(text):
        assert problem.message
        assert problem.span.line >= 1
        assert problem.span.column >= 1
