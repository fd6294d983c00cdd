"""A Python file of the user's (config.py), run once; what goes wrong in it is told with file and line.

The file runs in a module of its own that only this code knows, never through `import`: a folder may hold any number of
config.py, `config` may be the name of somebody else's module, and no __pycache__ may appear beside a user's file.
What only an error needs (ast) is imported when there is one: every cold client passes here.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from types import CodeType, TracebackType

from .errors import ConfigError

TYPE_CHECKING = False  # as typing's, without its import
if TYPE_CHECKING:
    import ast

MODULE_NAME = "shadowfarm_user_config"
_LONGEST_SHOWN = 60


def run(path: str) -> dict[str, object]:
    """The names that the file at `path` defines or imports. Raises: ConfigError."""
    code = _compile(path, _read(path))
    module = type(sys)(MODULE_NAME)
    module.__file__ = path
    sys.modules[MODULE_NAME] = module  # dataclasses and pickle look a class's module up there
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.append(folder)  # the file, and its hooks later, may import modules that lie beside it
    writes_no_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:  # it is the user's code: anything may come
        raise raised(path, "", error) from error
    finally:
        sys.dont_write_bytecode = writes_no_bytecode
    return {name: value for name, value in vars(module).items() if not name.startswith("__")}


def raised(path: str, what: str, error: BaseException, line: int | None = None) -> ConfigError:
    """The error for an exception that left the user's code: at the deepest line of the file, else at `line`."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    prefix = f"{what} raised " if what else ""
    return ConfigError(f"{place(path, _line_in(path, error.__traceback__) or line)}: {prefix}{one_line(text)}")


def place(path: str, line: int | None) -> str:
    """FILE:LINE, or FILE where the line is not known."""
    return f"{path}:{line}" if line else path


def line_of(path: str, name: str) -> int | None:
    """The line that gives `name` its value last, outside of functions and classes; None where none is seen."""
    import ast

    try:
        tree = ast.parse(_read(path))
    except (ConfigError, SyntaxError, ValueError):  # it was changed since it ran
        return None
    return max((node.lineno for node in _statements(tree) if name in _bound_by(node)), default=None)


def shown(value: object) -> str:
    """The value as a message gives it: on one line, and not at length."""
    text = one_line(repr(value))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def one_line(text: str) -> str:
    return " ".join(text.split())


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def _compile(path: str, source: bytes) -> CodeType:
    try:
        # "\d" in a user's pattern makes Python warn at each compile, on a stderr that belongs to the job.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise ConfigError(f"{place(path, error.lineno)}: syntax error: {one_line(error.msg)}") from error
    except ValueError as error:  # NUL bytes, before Python 3.12
        raise ConfigError(f"{path}: syntax error: {error}") from error


def _line_in(path: str, traceback: TracebackType | None) -> int | None:
    line = None
    while traceback:
        if traceback.tb_frame.f_code.co_filename == path:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Every statement that runs when the file does: not those inside of functions and classes."""
    import ast

    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from _statements(child)


def _bound_by(statement: ast.stmt) -> set[str]:
    """The names that one simple statement gives a value."""
    import ast

    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name) for alias in statement.names}
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return set()
