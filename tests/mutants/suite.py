"""Runs the fast tests of a package in processes that are forked: once to see what they cover, then once a mutant.

A mutant in a function's body is put into a process that has collected the tests already: the code of the live
function is replaced, and the chosen tests run. That takes hundredths of a second. A mutant in what runs when the
module is imported needs a process that has not imported it. So does a mutant that survives although its line ran
while the tests were collected, as what it made then is still the original's.

A child that uses up its CPU time is ended by the kernel, so a busy machine times nothing out.
"""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import math
import os
import resource
import signal
import sys
import time
import types
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SLOWEST = 2.0
"""Seconds of CPU beyond which a test is not run."""

_WALL = 120.0
"""Seconds after which a child that waits for something is ended."""

_COLLECTING = 10.0
"""Seconds of CPU for importing the package and collecting its tests."""

_MEMORY = 4 << 30
"""Bytes of address space that a mutant may take."""

_NOT_PRELOADED = (
    "_pytest",
    "pytest",
    "_hypothesis",
    "hypothesis",
    "xdist",
    "compartmentd",
    "tests",
    "__",
    "conftest",
)


@dataclass(frozen=True)
class Order:
    """A mutant with the tests that may kill it."""

    key: str
    module: str
    function: str
    source: str
    tests: tuple[str, ...]
    """Node ids, in the order in which they are run."""

    seconds: float
    """CPU that these tests take without a mutant."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    key: str
    status: str
    """`killed`, `survived` or `timeout`; `elsewhere` if the live code could not be replaced."""

    by: str = ""
    """The test that failed."""


@dataclass(frozen=True)
class Survey:
    """What the tests do without a mutant."""

    seconds: dict[str, float]
    """CPU of each test, of those that are run."""

    covering: dict[str, dict[int, list[str]]]
    """For each file of the package and each line of it: the tests that run it."""

    collected: dict[str, frozenset[int]]
    """For each file of the package: the lines that run before the first test."""

    failed: tuple[str, ...]
    modules: tuple[str, ...]
    """Modules of other packages that the tests import."""


class _Plugin:
    """Takes pytest's loop over the tests, and its reports."""

    def __init__(self, loop: Callable[[Any], None] | None, failed: Callable[[str], None]) -> None:
        self._failed = failed
        if loop is not None:
            self.pytest_runtestloop = lambda session: (loop(session), True)[1]

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self._failed(report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self._failed(report.nodeid)


def _run_pytest(paths: Iterable[str], plugin: _Plugin) -> int:
    """Run pytest on paths or node ids, in a process that has not run it before, without a word."""
    from hypothesis import HealthCheck, Phase, settings

    # A property that fails has killed its mutant: no smaller example is looked for.
    settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    import pytest

    options = ["-q", "-p", "no:xdist", "-p", "no:faulthandler", "-m", "not slow and not abuse", "--timeout=0"]
    options += ["-p", "randomly", "--randomly-seed=1", "--randomly-dont-reorganize"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning", f"--rootdir={ROOT}"]
    return int(pytest.main([*options, *paths], plugins=[plugin]))


def _silence() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)


def _fork(work: Callable[[Connection], None]) -> tuple[int, Connection]:
    """Start a child, silent and a process group of its own, that sends what it finds."""
    theirs: Connection
    ours, theirs = Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            ours.close()
            _silence()
            work(theirs)
            code = 0
        finally:
            os._exit(code)
    theirs.close()
    return child, ours


def _end(child: int, pipe: Connection) -> int:
    """End a child with all processes of its group, and return its status as waitpid(2) gives it."""
    pipe.close()
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _clear(caches: Iterable[Any]) -> None:
    for cache in caches:
        cache.cache_clear()


def _find_caches() -> list[Any]:
    """Return the live lru_caches of the package; a process that froze its objects thaws them first."""
    return [
        each
        for each in gc.get_objects()
        if isinstance(each, functools._lru_cache_wrapper) and str(each.__module__).startswith("compartmentd")  # type: ignore[attr-defined]
    ]


def survey(paths: Sequence[str], package: str) -> Survey:
    """Run the tests once under coverage, each with its caches empty."""
    child, pipe = _fork(lambda results: results.send(_survey(paths, package)))
    try:
        return pipe.recv()
    except EOFError:
        raise SystemExit(f"the tests in {' '.join(paths)} cannot be collected: run pytest on them") from None
    finally:
        _end(child, pipe)


def _survey(paths: Sequence[str], package: str) -> Survey:
    import coverage

    within = ROOT / "compartmentd" / package
    measured = coverage.Coverage(data_file=None, include=[f"{within}/*"], config_file=False)
    seconds: dict[str, float] = {}
    failed: list[str] = []
    modules: list[str] = []

    def run(session: Any) -> None:
        modules.extend(name for name in sys.modules if not name.startswith(_NOT_PRELOADED))
        gc.unfreeze()
        caches = _find_caches()
        for item, following in zip(session.items, [*session.items[1:], None], strict=True):
            _clear(caches)
            measured.switch_context(item.nodeid)
            start = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            seconds[item.nodeid] = time.process_time() - start
        measured.stop()

    measured.start()
    _run_pytest(paths, _Plugin(run, failed.append))
    data = measured.get_data()
    fast = {test for test, taken in seconds.items() if taken <= SLOWEST}
    covering, collected = {}, {}
    for path in data.measured_files():
        contexts = data.contexts_by_lineno(path)
        covering[path] = {line: [test for test in tests if test in fast] for line, tests in contexts.items()}
        collected[path] = frozenset(line for line, tests in contexts.items() if "" in tests)
    kept = {test: taken for test, taken in seconds.items() if test in fast}
    return Survey(kept, covering, collected, tuple(failed), tuple(modules))


def preload(modules: Iterable[str]) -> None:
    """Import what the tests will import of other packages, once for all children."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in modules:
            with suppress(Exception):
                importlib.import_module(name)


# --- a child's mutant ----------------------------------------------------------------------------------------


def _limit(order: Order, further: float = 0.0) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    allowed = math.ceil(2 + 2 * order.seconds + further)
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, allowed + 5))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _fail(results: Connection, key: str, test: str) -> None:
    """Report the first failure, and end at once."""
    results.send(Verdict(key, "killed", test))
    os._exit(0)


def _judge(child: int, pipe: Connection, order: Order) -> Verdict:
    """Wait for a child's verdict."""
    verdict = None
    late = not pipe.poll(_WALL)
    if not late:
        with suppress(EOFError):
            verdict = pipe.recv()
    if verdict is None and not late:
        # It ended without a word: by the kernel at its limit, or because the mutant ends the process.
        _, status = os.waitpid(child, 0)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        pipe.close()
        spent = os.WIFSIGNALED(status) and os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGKILL}
        return Verdict(order.key, "timeout" if spent else "killed", "" if spent else "the process ends")
    _end(child, pipe)
    return verdict or Verdict(order.key, "timeout")


def _list_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _list_codes(constant)


class _LiveCode:
    """The functions of one module as they are in this process, whose code can be replaced."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._original = list(_list_codes(compile(path.read_text(), self._path, "exec")))
        self._functions: dict[types.CodeType, list[types.FunctionType]] = defaultdict(list)
        for each in gc.get_objects():
            if isinstance(each, types.FunctionType) and each.__code__.co_filename == self._path:
                self._functions[each.__code__].append(each)

    def replace(self, source: str) -> bool:
        """Put the source's code into the functions; return whether that could be done."""
        mutated = list(_list_codes(compile(source, self._path, "exec")))
        if [code.co_qualname for code in mutated] != [code.co_qualname for code in self._original]:
            return False
        for old, new in zip(self._original, mutated, strict=True):
            if old == new:
                continue
            for function in self._functions[old]:
                if new.co_freevars != old.co_freevars:
                    return False
                function.__code__ = new
        return True


def try_in_place(paths: Sequence[str], orders: Sequence[Order]) -> Iterator[Verdict]:
    """Try mutants of functions' bodies, in children of a process that has collected the tests.

    The tests that killed other mutants of the function run first.
    """

    def serve(session: Any, results: Connection) -> None:
        gc.unfreeze()
        caches = _find_caches()
        items = {item.nodeid: item for item in session.items}
        live = {
            module: _LiveCode(get_path(module)) for module in dict.fromkeys(order.module for order in orders)
        }
        gc.freeze()
        killers: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for order in orders:
            last_killers = killers[order.module, order.function]
            first = [test for test in reversed(last_killers) if test in order.tests]
            tests = dict.fromkeys([*first, *order.tests])

            def work(inner: Connection, order: Order = order, tests: Iterable[str] = tests) -> None:
                if not live[order.module].replace(order.source):
                    inner.send(Verdict(order.key, "elsewhere"))
                    return
                _clear(caches)
                _limit(order)
                on_failure.append(lambda test: _fail(inner, order.key, test))
                chosen = [items[test] for test in tests if test in items]
                for item, following in zip(chosen, [*chosen[1:], None], strict=True):
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                inner.send(Verdict(order.key, "survived"))

            child, pipe = _fork(work)
            verdict = _judge(child, pipe, order)
            if verdict.by:
                last_killers.pop(verdict.by, None)
                last_killers[verdict.by] = None
            results.send(verdict)

    on_failure: list[Callable[[str], None]] = []

    def fail(test: str) -> None:
        for report in on_failure:
            report(test)

    def collect(results: Connection) -> None:
        plugin = _Plugin(lambda session: serve(session, results), fail)
        _run_pytest(paths, plugin)

    child, pipe = _fork(collect)
    try:
        for _ in orders:
            yield pipe.recv()
    except EOFError:
        raise SystemExit("the process that runs the tests ended; the mutants so far are remembered") from None
    finally:
        _end(child, pipe)


class _Mutated(importlib.machinery.SourceFileLoader):
    """Loads one module from another source than its file's."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> types.CodeType:  # noqa: ARG002 - importlib's signature
        return compile(self._source, self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, order: Order) -> None:
        self._name = f"compartmentd.{order.module}"
        self._order = order

    # Arguments that are not used are importlib's signature.
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG002
        if fullname != self._name:
            return None
        location = str(get_path(self._order.module))
        loader = _Mutated(fullname, location, self._order.source)
        return importlib.util.spec_from_file_location(fullname, location, loader=loader)


def try_afresh(orders: Iterable[Order]) -> Iterator[Verdict]:
    """Try mutants in children that import the package anew, each with its mutant.

    The module's own tests run first, as collecting all takes most of the time.
    """
    for order in orders:
        own = f"test_{order.module.rpartition('.')[2]}.py"
        stages = [
            [test for test in order.tests if f"/{own}::" in test],
            [test for test in order.tests if f"/{own}::" not in test],
        ]
        verdict = Verdict(order.key, "survived")
        for tests in filter(None, stages):
            verdict = _try_afresh(order, tests)
            if verdict.status != "survived":
                break
        yield verdict


def _try_afresh(order: Order, tests: Iterable[str]) -> Verdict:
    def work(results: Connection) -> None:
        _limit(order, _COLLECTING)
        sys.meta_path.insert(0, _Finder(order))
        code = _run_pytest(tests, _Plugin(None, lambda test: _fail(results, order.key, test)))
        # Any code but 0 is a failure before the first test: the module cannot be imported, or a test is gone.
        results.send(Verdict(order.key, "killed", "collection") if code else Verdict(order.key, "survived"))

    child, pipe = _fork(work)
    return _judge(child, pipe, order)


def get_path(module: str) -> Path:
    """Return the file of a module, which is named without `compartmentd.`."""
    return ROOT / "compartmentd" / f"{module.replace('.', '/')}.py"
