"""Takes each answer of docs/security.md away, and runs the tests that must notice. Where a mutant lives, a row is not proven.

    python -m tests.proofs.mutants [NAME …] [--jobs 2] [--list]

The mutants stand in `mutants.toml`. Each is made in a copy of the checkout, which is thrown away: never in the checkout itself.
"""

import argparse
import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, NamedTuple

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("mutants.toml")
SECONDS = 60
"""How long the tests of one mutant may take. One that keeps them longer is noticed by that."""
BASELINE_SECONDS = 900

Outcome = Literal["killed", "timed out", "LIVED", "does not apply", "broken"]
NOTICED: frozenset[Outcome] = frozenset({"killed", "timed out"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change that takes an answer away, and the names of the tests of which at least one must fail.

    `test_a[b-c]` is one case of a test that takes long with all of them.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def nodes(self, where: Mapping[str, Sequence[str]]) -> list[str]:
        """The tests, as pytest is told of them."""
        parts = (test.partition("[") for test in self.tests)
        return [f"{node}{bracket}{case}" for name, bracket, case in parts for node in where.get(name, ())]


class DoesNotApply(Exception):
    """The source has changed: what is to be replaced does not stand there exactly once."""


class Broken(Exception):
    """The tests could not be run as they must: that proves nothing."""


class Verdict(NamedTuple):
    """What became of a mutant, and which test noticed, or what was wrong."""

    mutant: Mutant
    outcome: Outcome
    seconds: float
    detail: str


def load(table: Path = TABLE) -> dict[str, Mutant]:
    """All mutants by name."""
    entries = tomllib.loads(table.read_text(encoding="utf-8"))
    return {name: Mutant(name, e["file"], e["old"], e["new"], tuple(e["tests"])) for name, e in entries.items()}


def mutated(mutant: Mutant, root: Path = ROOT) -> str:
    """The text of the file with the answer taken away. DoesNotApply."""
    path = root / mutant.file
    source = path.read_text(encoding="utf-8") if path.is_file() else ""
    if (times := source.count(mutant.old)) != 1:
        raise DoesNotApply(f"the mutant no longer applies: its text stands {times} times in {mutant.file}")
    return source.replace(mutant.old, mutant.new)


def places(root: Path = ROOT) -> Mapping[str, Sequence[str]]:
    """Where the tests are: by name, each as pytest is told of it."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for file in sorted((root / "tests").rglob("test_*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for path, name in _tests(tree):
            found[name].append("::".join((str(file.relative_to(root)), *path, name)))
    return found


class Copy:
    """A copy of the checkout, in which the tests import what stands there and nothing of the checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        plain = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")}  # a copy is not counted
        self._environ = {**plain, "PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        self._running: subprocess.Popen[str] | None = None

    def tested(self, mutant: Mutant, nodes: Sequence[str]) -> Verdict:
        """What becomes of this mutant."""
        begun = time.monotonic()
        try:
            with self._changed(mutant):
                outcome, detail = self._outcome(mutant, nodes)
        except DoesNotApply as reason:
            outcome, detail = "does not apply", str(reason)
        except Broken as reason:
            outcome, detail = "broken", str(reason)
        return Verdict(mutant, outcome, time.monotonic() - begun, detail)

    def pass_unchanged(self, nodes: Sequence[str], jobs: int) -> None:
        """Return if these tests pass here as they are; Broken otherwise."""
        self._imports("webapp/__init__.py")
        code, said = self._pytest(["-p", "xdist", "-n", str(jobs), *nodes], BASELINE_SECONDS)
        if code != 0:
            raise Broken(f"the tests do not pass where nothing is taken away:\n{said}")

    def _outcome(self, mutant: Mutant, nodes: Sequence[str]) -> tuple[Outcome, str]:
        found = {node.rpartition("::")[2] for node in nodes}
        if missing := [test for test in mutant.tests if test not in found]:
            raise Broken(f"there is no {', '.join(missing)}")
        self._imports(mutant.file)
        code, said = self._pytest(["-x", *nodes], SECONDS)
        failed = re.search(r"^FAILED .*?::(test_\w+)", said, re.MULTILINE)
        if code is None:
            return "timed out", f"after {SECONDS} seconds"
        if code == 0:
            return "LIVED", f"none of {', '.join(mutant.tests)} failed"
        if failed is None:  # nothing was collected, or a fixture failed
            raise Broken(f"pytest ended with {code}:\n{said}")
        return "killed", f"by {failed[1]}"

    @contextmanager
    def _changed(self, mutant: Mutant) -> Iterator[None]:
        after, path = mutated(mutant, self.root), self.root / mutant.file
        before = path.read_text(encoding="utf-8")
        try:
            self._write(path, after)
            yield
        finally:
            self._write(path, before)

    def _write(self, path: Path, text: str) -> None:
        """Bytecode goes with it: Python tells it from stale by size and second, and both may be the same."""
        path.write_text(text, encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()

    def _imports(self, file: str) -> None:
        """Return if the file's module can be imported, and comes from this copy; Broken otherwise."""
        path = file if file.endswith(".py") else "webapp/__init__.py"
        module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        code, said = self._run(
            ["-c", f"import webapp, {module}; print(webapp.__file__); print({module}.__file__)"], BASELINE_SECONDS
        )
        if code != 0:
            raise Broken(f"it cannot be imported:\n{said}")
        if said.split() != [str(self.root / "webapp/__init__.py"), str(self.root / path)]:
            raise Broken(f"the copy is not what is imported, but {said}")

    def end(self) -> None:
        """Whatever runs here is over."""
        if self._running:
            _kill(self._running)

    def _pytest(self, args: Sequence[str], seconds: float) -> tuple[int | None, str]:
        """On the file backend: each row's answer is the same on both, and MongoDB takes longer to start. So do other plugins."""
        options = ["-q", "--tb=no", "-k", "not mongodb", f"--basetemp={self.root / '.tmp'}"]
        plugins = ["-p", "no:cacheprovider", "-p", "anyio", "-p", "webapp.testing.fixtures"]
        return self._run(["-m", "pytest", *options, *plugins, *args], seconds)

    def _run(self, args: Sequence[str], seconds: float) -> tuple[int | None, str]:
        """The exit code, None when time was over, and what was printed. Whatever was started ends with it."""
        with subprocess.Popen(
            [sys.executable, *args], cwd=self.root, env=self._environ, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as self._running:  # fmt: skip
            try:
                said, _ = self._running.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                _kill(self._running)
                return None, self._running.communicate()[0]
            return self._running.returncode, said


def _kill(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def main(argv: Sequence[str] | None = None) -> int:
    """0 if every mutant that was asked for is noticed."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    mutants = load()
    if unknown := sorted(set(options.names) - set(mutants)):
        sys.exit(f"There is no mutant {', '.join(unknown)}; --list names them.")
    asked = [mutants[name] for name in options.names or mutants]
    if options.list:
        return _say(f"{mutant.name:<44} {mutant.file}" for mutant in asked)
    return _report(asked, options.jobs)


def _report(asked: Sequence[Mutant], jobs: int) -> int:
    begun, noticed = time.monotonic(), 0
    try:
        with closing(_verdicts(asked, jobs)) as verdicts:
            for verdict in verdicts:
                noticed += verdict.outcome in NOTICED
                _say([f"{verdict.outcome:<9} {verdict.seconds:5.1f} s  {verdict.mutant.name:<44} {verdict.detail}"])
    except Broken as reason:
        sys.exit(str(reason))
    _say([f"{noticed} of {len(asked)} mutants were noticed, in {time.monotonic() - begun:.0f} seconds"])
    return 0 if noticed == len(asked) else 1


def _verdicts(mutants: Sequence[Mutant], jobs: int) -> Generator[Verdict, None, None]:
    """One for each, in the order of the table, once all their tests have passed with nothing taken away; Broken otherwise."""
    with tempfile.TemporaryDirectory(prefix="keystead-mutants-") as folder, ThreadPoolExecutor(jobs) as threads:
        copies = [_copied(Path(folder).resolve() / str(number)) for number in range(jobs)]
        where = places(copies[0].root)
        nodes = {mutant.name: mutant.nodes(where) for mutant in mutants}
        free: SimpleQueue[Copy] = SimpleQueue()

        def test(mutant: Mutant) -> Verdict:
            copy = free.get()
            try:
                return copy.tested(mutant, nodes[mutant.name])
            finally:
                free.put(copy)

        try:
            copies[0].pass_unchanged(sorted({node for each in nodes.values() for node in each}), jobs)
            for copy in copies:
                free.put(copy)
            yield from threads.map(test, mutants)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            for copy in copies:
                copy.end()
            raise


def _copied(target: Path) -> Copy:
    """Without what begins with a dot: history, environments, caches."""
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    return Copy(target)


def _tests(tree: ast.Module) -> Iterator[tuple[tuple[str, ...], str]]:
    """The names of the tests of a file, with that of the class that each stands in."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from (((node.name,), name) for each in node.body if (name := _test(each)))
        elif name := _test(node):
            yield (), name


def _test(node: ast.stmt) -> str:
    name = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ""
    return name if name.startswith("test_") else ""


def _say(lines: Iterable[str]) -> int:
    for line in lines:
        print(line, flush=True)  # noqa: T201  (it is a program)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutants")
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time")
    parser.add_argument("--list", action="store_true", help="name them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
