from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, strategies as st

from compartmentd.util.strict_json import (
    MAX_DEPTH,
    JsonError,
    NotJson,
    NotStrict,
    check_depth,
    decode,
    names_a_member_twice,
    read_object,
    read_value,
)

GOOD = [
    (b"{}", {}),
    (b' {"a": [1, -1.5e3, true, null, "x"]} ', {"a": [1, -1500.0, True, None, "x"]}),
    (b'{"a": 18446744073709551615, "b": -9223372036854775808}', {"a": 2**64 - 1, "b": -(2**63)}),
    (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
    (b'{"a": "\\\\ud800"}', {"a": "\\ud800"}),
    ('{"ä": "\U0001f600"}'.encode(), {"ä": "\U0001f600"}),
    (b'{"a": "' + b"[{" * 100 + b'"}', {"a": "[{" * 100}),
    (b'{"a": "' + b'\\"[' * 100 + b'"}', {"a": '"[' * 100}),
    (b'{"a": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}", None),
    (b'{"a": [' + b",".join([b"[]"] * 500) + b"]}", {"a": [[]] * 500}),
    (b'{"b": [], "a": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}", None),
]

BAD = [
    (b"", "is not JSON"),
    (b"nonsense", "is not JSON"),
    (b'{"a": 1} {}', "is not JSON"),
    (b"[]", "is not a JSON object"),
    (b"1", "is not a JSON object"),
    (b"null", "is not a JSON object"),
    (b"\xef\xbb\xbf{}", "begins with a byte order mark; save it as UTF-8 without one"),
    ('{"a": 1}'.encode("utf-16"), "is not UTF-8"),
    (b'{"a": "\xff"}', "is not UTF-8"),
    (b'{"a": "\xed\xa0\x80"}', "is not UTF-8"),
    (b'{"a": 1, "a": 1}', "names a member twice"),
    (b'{"a": {"b": 1, "\\u0062": 2}}', "names a member twice"),
    (b'{"a": "\\ud800"}', "holds a lone surrogate"),
    (b'{"\\uDFFF": 1}', "holds a lone surrogate"),
    (b'{"a": [["x\\ude00\\ud83d"]]}', "holds a lone surrogate"),
    (b'{"a": 18446744073709551616}', "holds an integer beyond 64 bits"),
    (b'{"a": -9223372036854775809}', "holds an integer beyond 64 bits"),
    (b'{"a": ' + b"9" * 5000 + b"}", "holds an integer beyond 64 bits"),
    (b'{"a": 1e400}', "holds a number that is out of range"),
    (b'{"a": [-1e400]}', "holds a number that is out of range"),
    (b'{"a": NaN}', "holds NaN, which is no JSON"),
    (b'{"a": -Infinity}', "holds -Infinity, which is no JSON"),
    (b'{"a": 01}', "is not JSON"),
    (b'{"a": "\n"}', "is not JSON"),
    (b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", f"is nested deeper than {MAX_DEPTH} levels"),
    (b'{"a":' * 2000 + b"1" + b"}" * 2000, f"is nested deeper than {MAX_DEPTH} levels"),
    (b"[" * 100_000 + b"]" * 100_000, f"is nested deeper than {MAX_DEPTH} levels"),
    (b"[" * 100_000, f"is nested deeper than {MAX_DEPTH} levels"),
    (b'{"a": [' + b"[]," * 100 + b"[]}", "is not JSON"),
]


@pytest.mark.parametrize(("data", "value"), GOOD)
def test_reads_objects(data: bytes, value: object) -> None:
    read = read_object(data)
    assert read == (json.loads(data) if value is None else value)


@pytest.mark.parametrize(("data", "message"), BAD)
def test_refuses_what_is_none_or_could_be_read_in_two_ways(data: bytes, message: str) -> None:
    with pytest.raises(JsonError, match=f"^{message}$"):
        read_object(data)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\ud8eE+-0123456789.truefalsn \n').map(str.encode))
def test_any_bytes_give_an_object_or_the_one_error(data: bytes) -> None:
    try:
        value = read_object(data)
    except JsonError:
        return
    assert value == json.loads(data)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    ),
    st.booleans(),
)
def test_whatever_can_be_written_is_read(value: object, ascii_only: bool) -> None:
    data = json.dumps({"value": value}, ensure_ascii=ascii_only).encode()
    assert read_object(data) == {"value": value}


@pytest.mark.parametrize("unit", [b'\\"', b'"\\', b'"', b"[", b'["', b'"[', b"\\", b'{"a":['])
def test_hostile_text_costs_no_more_than_its_length(unit: bytes) -> None:
    data = b"[" * 40 + b'"' + unit * (200_000 // len(unit))
    began = time.process_time()
    with pytest.raises(JsonError):
        read_object(data)
    # A scan that starts again at each quote takes minutes here.
    assert time.process_time() - began < 2


def test_text_that_is_no_json_is_told_with_the_place_and_without_its_content() -> None:
    with pytest.raises(NotJson) as raised:
        read_value(b'{"secret": "kept"\n "x"}')
    assert raised.value.detail == "Expecting ',' delimiter: line 2 column 2 (char 19)"
    assert "kept" not in str(raised.value)


@pytest.mark.parametrize(("data", "value"), [(b"[]", []), (b"1", 1), (b'"a"', "a"), (b"null", None)])
def test_any_value_is_read_where_no_object_is_asked_for(data: bytes, value: object) -> None:
    assert read_value(data) == value


def test_another_depth_may_be_asked_for() -> None:
    data = b"[" * 64 + b"]" * 64
    assert read_value(data, max_depth=64) == json.loads(data)
    with pytest.raises(NotStrict, match=r"^is nested deeper than 63 levels$"):
        read_value(data, max_depth=63)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    ).map(json.dumps)
    | st.sampled_from(['"\\ud800"', "1e400", "9" * 400, "[1,", "NaN", '{"a":1,"a":2}', "1.0e+20", "2E99"])
)
def test_text_with_large_exponents_is_read_by_another_parser_that_says_the_same(value: str) -> None:
    short = f'[{value},"e99"]'.encode()
    long = short + b" " * 1100
    try:
        expected = decode(short) if len(short) < 1000 else None
    except JsonError as error:
        with pytest.raises(type(error)):
            decode(long)
    else:
        assert expected is None or repr(decode(long)) == repr(expected)


@pytest.mark.parametrize("number", ["1e300", "1.7976931348623157e308", "5E-324", "1e23"])
def test_numbers_with_large_exponents_take_no_time(number: str) -> None:
    text = f"[{','.join([number] * 30_000)}]".encode()
    started = time.process_time()
    assert len(decode(text)) == 30_000
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        (b'{"a":1,"a":1}', True),
        (b'[{"b":{"a":1,"\\u0061":2}}]', True),
        (b'[{"a":1},{"a":1}]', False),
        (b"1", False),
    ],
)
def test_names_a_member_twice(text: bytes, twice: bool) -> None:
    assert names_a_member_twice(text) is twice


def measure_depth(value: object) -> int:
    """Return how deep a value nests, one level at a time."""
    if isinstance(value, dict):
        return 1 + max(map(measure_depth, value.values()), default=0)
    return 1 + max(map(measure_depth, value), default=0) if isinstance(value, list) else 0


_TEXTS = st.text(alphabet='a"\\[]{}é\n', max_size=6)


@given(
    st.recursive(
        st.none() | _TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
        max_leaves=30,
    ),
    st.integers(1, 6),
    st.booleans(),
)
def test_a_text_passes_exactly_if_it_nests_no_deeper(value: object, most: int, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped).encode()
    try:
        check_depth(text, most)
    except NotStrict:
        assert measure_depth(value) > most
    else:
        assert measure_depth(value) <= most


_MEGABYTE = 1 << 20

_UNITS = {
    "chains": b"[" * 30 + b"1" + b"]" * 30 + b",",
    "combs": b"[[]," * 30 + b"1" + b"]" * 30 + b",",
    "pairs": b"[],",
    "objects": b'{"":' * 30 + b"1" + b"}" * 30 + b",",
    "strings": b'"[",',
    "escapes": b'"\\"",',
}


@pytest.mark.parametrize("unit", _UNITS.values(), ids=_UNITS)
def test_a_megabyte_of_anything_is_checked_for_its_depth_at_once(unit: bytes) -> None:
    text = b"[" + unit * (_MEGABYTE // len(unit)) + b"1]"
    started = time.thread_time()
    for _ in range(20):
        check_depth(text)
    assert time.thread_time() - started < 1, "2 ms each where the machine is quiet"


@pytest.mark.parametrize("text", [b"[" * 50 + b'"', b"]" * 50 + b"[" * 50, b"[" * 40 + b"}" * 40])
def test_brackets_that_are_no_json_are_not_refused_for_their_depth(text: bytes) -> None:
    check_depth(text)
    with pytest.raises(NotJson):
        decode(text)
