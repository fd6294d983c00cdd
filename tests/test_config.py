"""config.py: what users wrote keeps its meaning, mistakes are told with file, line and name, no file is touched."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from shadowfarm import config, statuses
from shadowfarm.config import Config
from shadowfarm.errors import ConfigError
from shadowfarm.settings import HOOKS, KNOWN, SETTINGS

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "config.py"

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a config.py (or what `name` says) and returns its path; what loading does to sys.path is undone."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text: str | bytes, name: str = "config.py") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def refused(path: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert caught.value.status == statuses.BAD_CONFIG
    assert "\n" not in caught.value.line()
    return caught.value


# --- the shipped file


def test_the_shipped_file_says_what_the_defaults_are() -> None:
    shipped, default = config.load(str(SHIPPED)), Config()
    names = ast.parse(SHIPPED.read_text()).body
    given = {
        node.targets[0].id for node in names if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert given == SETTINGS.keys() | {"BASE"}
    for field, _ in SETTINGS.values():
        assert getattr(shipped, field) == getattr(default, field), field
    for args in (["cc", "-c", "a.c"], ["cc", "-", "-x"], ["cat"], ["cc", "--", "x-", ""]):
        for field, _ in HOOKS.values():
            ours, users = list(args), list(args)
            assert getattr(shipped, field)(users) == getattr(default, field)(ours), field
            assert users == ours == args


def test_every_name_is_documented_where_it_stands() -> None:
    text = SHIPPED.read_text()
    functions = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    assert functions.keys() == HOOKS.keys()
    for name, function in functions.items():
        assert "Default" in (ast.get_docstring(function) or "") or name == "doFixes", name
    for name in SETTINGS.keys() | {"BASE"}:
        comment = re.search(rf"((?:^#.*\n)+)^{name} = ", text, re.MULTILINE)
        assert comment, name
        assert "efault" in comment[1], name


def test_every_field_has_a_name_that_a_user_can_write() -> None:
    ours = {field for field, _ in (*SETTINGS.values(), *HOOKS.values())}
    assert {field.name for field in fields(Config)} == ours | {"path"}


# --- users' files


def test_a_file_with_imports_constants_and_functions_of_its_own_is_taken(write: Write) -> None:
    path = write(
        "import os, re\n"
        "from os.path import *\n"
        "HOME = os.environ.get('HOME'); PATTERN = re.compile('x'); WORKERS_AT_HOME = ['a:1']; WORKERS2 = ('b:2',)\n"
        "def useful(): return True\n"
        "def domain(args): return 'd'\n"
        "class User: pass\n"
        "if HOME != '':\n"
        "    WORKERS = WORKERS_AT_HOME\n"
        "def clientsToUse(args):\n"
        "    if domain(args) in args: return [0]\n"
    )
    loaded = config.load(path)
    assert loaded.workers == ("a:1",)
    assert loaded.clients_to_use(["d"]) == (0,)
    assert loaded.clients_to_use(["e"]) is None
    assert loaded.path == path


def test_settings_arrive_in_their_fields(write: Write) -> None:
    loaded = config.load(
        write(
            "DEBUG = 1; TIMEOUT = 7; COOLDOWN = 0; SLEEP = .5; FALLBACK = False\n"
            "GRACE = 0; DRAIN = 2; CONNECT_TIMEOUT = 3\n"
            "WORKERS = [('h', 1), ['::1', '2'], ('[::1]', 3), 'unix:/s', 'local']\n"
            "RUN_DIRECTLY = ['ar']; USE_ENV = (); USE_SHELL = {'b', 'a'}; USE_COMM = frozenset({'c'})\n"
            "ENV_SKIP = ('X_*',); RETRY = ('cc',); SHARED = ('/w',)\n"
        )
    )
    seen = {field.name: getattr(loaded, field.name) for field in fields(Config)}
    assert {name: value for name, value in seen.items() if name != "path" and not callable(value)} == {
        "debug": True,
        "timeout_s": 7.0,
        "cooldown_s": 0.0,
        "sleep_s": 0.5,
        "workers": ("h:1", "[::1]:2", "[::1]:3", "unix:/s", "local"),
        "run_directly": ("ar",),
        "use_env": (),
        "use_shell": ("a", "b"),
        "use_comm": ("c",),
        "env_skip": ("X_*",),
        "retry": ("cc",),
        "shared": ("/w",),
        "fallback": False,
        "grace_s": 0.0,
        "drain_s": 2.0,
        "connect_timeout_s": 3.0,
    }


def test_missing_names_and_a_missing_file_give_the_defaults(write: Write) -> None:
    loaded = config.load(write("# nothing\n"))
    assert config.load("") == Config()
    for field, _ in SETTINGS.values():
        assert getattr(loaded, field) == getattr(Config(), field)
    assert loaded.should_use_comm(["cat", "-"]) is True
    assert loaded.should_use_comm(["cat", "-n"]) is False


def test_the_value_is_frozen_and_does_not_follow_the_users_list(write: Write) -> None:
    loaded = config.load(write("WORKERS = ['a:1']\ndef shouldRunDirect(args): WORKERS.append('b:2')\n"))
    assert loaded.should_run_direct(["x"]) is False
    assert loaded.workers == ("a:1",)
    with pytest.raises(FrozenInstanceError):
        loaded.debug = True  # type: ignore[misc]


def test_the_users_folder_is_left_as_it_was_even_with_a_module_beside_the_file(write: Write, tmp_path: Path) -> None:
    helper = f"helper_{os.getpid()}"
    write("WORKERS = ('a:1',)\n", f"{helper}.py")
    path = write(f"from {helper} import *\n")
    # In a process of its own: the switch that writes bytecode may be off in this one.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    code = f"from shadowfarm import config; print(config.load({path!r}).workers)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "('a:1',)\n"
    assert sorted(os.listdir(tmp_path)) == ["config.py", f"{helper}.py"]


def test_a_pattern_with_a_stray_backslash_writes_no_warning_on_the_jobs_stderr(write: Write) -> None:
    path = write('PATTERN = "\\d"\n')
    code = f"from shadowfarm import config; config.load({path!r})"
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_a_wait_for_ever_fits_into_poll(write: Write) -> None:
    assert config.load(write("TIMEOUT = float('inf')\nCOOLDOWN = 10**400\n")).timeout_s * 1000 < 2**31


def test_a_sleep_of_nothing_does_not_spin(write: Write) -> None:
    assert config.load(write("SLEEP = 0\n")).sleep_s > 0


# --- mistakes


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("\nTIMEOUT = '5'", "2: TIMEOUT is '5', not a number of seconds"),
        ("TIMEOUT = -1", "1: TIMEOUT is -1, not"),
        ("TIMEOUT = True", "1: TIMEOUT is True, not"),
        ("TIMEOUT = float('nan')", "1: TIMEOUT is nan, not"),
        ("TIMEOUT = None", "1: TIMEOUT is None, not"),
        ("CONNECT_TIMEOUT = 0", "1: CONNECT_TIMEOUT is 0, not"),
        ("DEBUG = 'no'", "1: DEBUG is 'no', not True or False"),
        ("FALLBACK = None", "1: FALLBACK is None, not True or False"),
        ("USE_ENV = None", "1: USE_ENV is None, not a tuple of strings"),
        ("USE_ENV = ('a', 5)", "1: USE_ENV has 5 in it, which is no string"),
        ("RUN_DIRECTLY = ('',)", "1: RUN_DIRECTLY has an empty string in it, which would mean everything"),
        ("SHARED = ('w',)", "1: SHARED has 'w' in it, which is no absolute path"),
        ("WORKERS = {'a:1'}", "1: WORKERS is {'a:1'}, not a tuple"),
        ("WORKERS = ('a:1', 'build2')", "1: WORKERS has a wrong entry: 'build2' is no worker address: it has no port"),
        ("WORKERS = (('a', 0),)", "1: WORKERS has a wrong entry: 'a:0' is no worker address"),
        ("WORKERS = (5,)", "1: WORKERS has 5 in it, which is no worker address"),
        ("doFixes = 5", "1: doFixes is 5, not a function of args"),
        ("if 1:\n  TIMEOUT = 1\n  TIMEOUT = 'x'\ndef f():\n  TIMEOUT = 2", "3: TIMEOUT is 'x'"),
        ("A, TIMEOUT = 1, 'x'", "1: TIMEOUT is 'x'"),
    ],
)
def test_a_wrong_value_is_told_with_file_line_and_name(write: Write, text: str, what: str) -> None:
    path = write(text + "\n")
    assert refused(path).what.startswith(f"{path}:{what}")


@pytest.mark.parametrize("name", ["WORKERS", "RUN_DIRECTLY", "USE_ENV", "ENV_SKIP", "SHARED"])
def test_a_forgotten_comma_is_named(write: Write, name: str) -> None:
    error = refused(write(f"{name} = ('a:1')\n"))
    assert f"{name} is the string 'a:1', not a tuple" in error.what
    assert "needs a comma: ('a:1',)" in error.cure


def test_a_forgotten_comma_after_a_pair_is_named(write: Write) -> None:
    assert "Write (('a', 1),)" in refused(write("WORKERS = (('a', 1))\n")).cure


@pytest.mark.parametrize(
    ("text", "name", "nearest"),
    [
        ("WORKER = ('a:1',)", "WORKER", "WORKERS"),
        ("RUN_DIRECT = ()", "RUN_DIRECT", "RUN_DIRECTLY"),
        ("USE_ENVS = ()", "USE_ENVS", "USE_ENV"),
        ("def shouldRunDirectly(args): pass", "shouldRunDirectly", "shouldRunDirect"),
        ("def dofixes(args): pass", "dofixes", "doFixes"),
        ("def clientToUse(args): pass\nclientsToUSe = clientToUse", "clientsToUSe", "clientsToUse"),
        ("from os.path import join as shouldUseEnvs", "shouldUseEnvs", "shouldUseEnv"),
    ],
)
def test_a_misspelt_name_is_told_with_the_one_that_was_meant(write: Write, text: str, name: str, nearest: str) -> None:
    path = write(f"\n{text}\n")
    error = refused(path)
    assert re.match(rf"{re.escape(path)}:[23]: {name} is no setting", error.what)
    assert error.cure == f"Did you mean {nearest}?"


def test_no_known_name_is_taken_for_a_misspelling_of_another(write: Write) -> None:
    values = dict.fromkeys(HOOKS, "lambda args: None") | {"BASE": "''"}
    values |= {name: repr(getattr(Config(), field)) for name, (field, _) in SETTINGS.items()}
    assert values.keys() == KNOWN
    for name, value in values.items():
        config.load(write(f"{name} = {value}\n"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"A = 1\nWORKERS = (\n", r":2: syntax error: .*"),
        (b"A = 1\n\nx x\n", r":3: syntax error: invalid syntax"),
        (b"A = 1\n  B = 2\n", r":2: syntax error: unexpected indent"),
        (b"A = '\xff'\n", r".*: syntax error: .*utf-8.*"),
        (b"A = 1\0\n", r".*: syntax error: .*null bytes"),
        (b"A = 1\nB = A / 0\n", r":2: ZeroDivisionError: division by zero"),
        (b"def f():\n    return {}['a']\n\nB = f()\n", r":2: KeyError: 'a'"),
        (b"import json\n\njson.loads('[')\n", r":3: JSONDecodeError: .*"),
        (b"import no_such_module\n", r":1: ModuleNotFoundError: No module named 'no_such_module'"),
        (b"import sys\nsys.exit('bye')\n", r":2: SystemExit: bye"),
        (b"raise ValueError\n", r":1: ValueError"),
        (b"raise ValueError('two\\nlines')\n", r":1: ValueError: two lines"),
    ],
)
def test_a_file_that_does_not_run_is_told_with_its_line(write: Write, text: bytes, what: str) -> None:
    path = write(text)
    assert re.fullmatch(re.escape(path) + what, refused(path).what)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused(str(tmp_path / "none.py")).what
    assert "cannot be read: Is a directory" in refused(str(tmp_path)).what


def test_a_value_whose_text_is_endless_is_told_briefly(write: Write) -> None:
    assert len(refused(write("TIMEOUT = 'x' * 10**6\n")).line()) < 300


# --- hooks


def test_hooks_are_called_with_the_very_arguments_and_may_change_them_in_place(write: Write) -> None:
    loaded = config.load(write("def doFixes(args):\n    args.remove('-x')\n    args[1:1] = ['-y']\n"))
    args = ["cc", "-x", "a.c"]
    loaded.do_fixes(args)
    assert args == ["cc", "-y", "a.c"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("None", False),
        ("1", True),
        ("[]", False),
        ("''", False),
        ("args", True),
        ("__import__('re').match('c', 'c')", True),
    ],
)
def test_what_plainly_says_yes_or_no_is_taken_as_before(write: Write, answer: str, expected: bool) -> None:
    loaded = config.load(write(f"def shouldUseShell(args):\n    return {answer}\n"))
    assert loaded.should_use_shell(["cc"]) is expected


@pytest.mark.parametrize(
    ("body", "field", "what"),
    [
        ("def doFixes(args):\n    args[5] = 1", "do_fixes", "3: doFixes raised IndexError: list assignment index"),
        ("def doFixes(args):\n    return ['x']", "do_fixes", "2: doFixes returned ['x'], which nobody reads"),
        ("def doFixes(args):\n    args.append(5)", "do_fixes", "2: doFixes left 5 among the arguments"),
        ("def doFixes(): pass", "do_fixes", "2: doFixes raised TypeError: doFixes() takes 0"),
        (
            "def shouldRunDirect(args): return 'no'",
            "should_run_direct",
            "2: shouldRunDirect returned 'no', not True or",
        ),
        (
            "def shouldUseEnv(args): return print",
            "should_use_env",
            "2: shouldUseEnv returned <built-in function print>",
        ),
        ("def shouldUseComm(args): raise SystemExit", "should_use_comm", "2: shouldUseComm raised SystemExit"),
        ("shouldUseShell = lambda args: 1/0", "should_use_shell", "2: shouldUseShell raised ZeroDivisionError"),
        ("def clientsToUse(args): return 0", "clients_to_use", "2: clientsToUse returned 0, not a list of indices"),
        ("def clientsToUse(args): return '0'", "clients_to_use", "2: clientsToUse returned '0', not a list"),
        ("def clientsToUse(args): return [False]", "clients_to_use", "2: clientsToUse returned [False], but"),
        ("def clientsToUse(args): return [-1]", "clients_to_use", "2: clientsToUse returned [-1], but WORKERS has"),
        ("def clientsToUse(args): return [0, 1]", "clients_to_use", "2: clientsToUse returned [0, 1], but WORKERS has"),
        (
            "def clientsToUse(args):\n    yield 0\n    yield 1/0",
            "clients_to_use",
            "4: clientsToUse raised ZeroDivision",
        ),
    ],
)
def test_a_hook_that_fails_is_told_with_file_line_and_hook(write: Write, body: str, field: str, what: str) -> None:
    path = write(f"\n{body}\n")
    hook = getattr(config.load(path), field)
    with pytest.raises(ConfigError) as caught:
        hook(["cc"])
    assert caught.value.what.startswith(f"{path}:{what}")
    assert "\n" not in caught.value.line()


def test_an_interrupt_passes_through_a_hook(write: Write) -> None:
    loaded = config.load(write("def doFixes(args): raise KeyboardInterrupt\n"))
    with pytest.raises(KeyboardInterrupt):
        loaded.do_fixes(["cc"])


# --- BASE


def test_an_overlay_says_only_what_differs(write: Write) -> None:
    write("WORKERS = ('a:1', 'b:2')\nTIMEOUT = 3\nDRAIN = 3\ndef clientsToUse(args): return [1]\n")
    write("BASE = '../config.py'\nTIMEOUT = 2\nDRAIN = 2\n", "ue/config.py")
    loaded = config.load(write("BASE = '../config.py'\nTIMEOUT = 1\n", "ue/shaders/config.py"))
    assert (loaded.timeout_s, loaded.drain_s, loaded.workers) == (1, 2, ("a:1", "b:2"))
    assert loaded.clients_to_use(["cc"]) == (1,)
    assert loaded.path.endswith("/ue/shaders/config.py")


def test_a_mistake_is_told_in_the_file_that_has_it(write: Write) -> None:
    base = write("\nTIMEOUT = 'x'\ndef doFixes(args): 1/0\n")
    path = write("BASE = '../config.py'\n", "ue/config.py")
    assert refused(path).what.startswith(f"{base}:2: TIMEOUT is 'x'")
    path = write("BASE = '../config.py'\nTIMEOUT = 1\n", "ue/config.py")
    with pytest.raises(ConfigError, match=f"{re.escape(base)}:3: doFixes raised"):
        config.load(path).do_fixes(["cc"])


def test_a_base_is_relative_to_the_file_and_not_to_a_link_to_it(write: Write, tmp_path: Path) -> None:
    write("TIMEOUT = 3\n")
    (tmp_path / "far" / "away").mkdir(parents=True)
    link = tmp_path / "far" / "away" / "config.py"
    link.symlink_to(write("BASE = '../config.py'\n", "ue/config.py"))
    assert config.load(str(link)).timeout_s == 3


@pytest.mark.parametrize(
    ("base", "what"),
    [
        ("config.py", "is itself based on this file"),
        ("b.py", "is itself based on this file"),
        ("none.py", "is no file"),
        (".", "is no file"),
        (5, "is 5, not the path of a file"),
    ],
)
def test_a_base_that_leads_nowhere_or_in_a_circle_is_refused(write: Write, base: object, what: str) -> None:
    write("BASE = 'config.py'\n", "b.py")
    assert what in refused(write(f"BASE = {base!r}\n")).what


# --- which file


@pytest.fixture
def farm(tmp_path: Path) -> Path:
    """A folder, with a blank in its name, that holds client.py and config.py, and ue/ with its own config.py."""
    home = tmp_path / "my farm"
    (home / "ue").mkdir(parents=True)
    for name in ("client.py", "config.py", "ue/config.py"):
        (home / name).touch()
    (home / "ue" / "client.py").symlink_to("../client.py")
    return home


def found(called_as: Path | str, farm: Path, **environ: str) -> str:
    return config.find(str(called_as), str(farm / "client.py"), environ)


def test_the_first_folder_along_the_links_that_has_a_config_decides(farm: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "clang").symlink_to(farm / "ue" / "client.py")
    (tmp_path / "bin" / "gcc").symlink_to("../my farm/client.py")
    (tmp_path / "cc").symlink_to("bin/gcc")
    assert found(farm / "client.py", farm) == str(farm / "config.py")
    assert found(farm / "ue" / "client.py", farm) == str(farm / "ue" / "config.py")
    assert found(tmp_path / "bin" / "clang", farm) == str(farm / "ue" / "config.py")
    assert found(tmp_path / "cc", farm) == str(farm / "config.py")
    (tmp_path / "bin" / "config.py").touch()
    assert found(tmp_path / "cc", farm) == str(tmp_path / "bin" / "config.py")


def test_a_relative_link_in_a_folder_reached_by_a_link_is_followed_as_the_kernel_does(
    farm: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "ue").symlink_to(farm / "ue")
    (farm / "ue" / "config.py").unlink()
    for trap in ("client.py", "config.py"):
        (tmp_path / "elsewhere" / trap).touch()
    assert found(tmp_path / "elsewhere" / "ue" / "client.py", farm) == str(farm / "config.py")


def test_a_relative_called_path_counts_from_the_working_folder(farm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(farm / "ue")
    assert found("client.py", farm) == str(farm / "ue" / "config.py")
    assert found("./client.py", farm) == str(farm / "ue" / "config.py")
    assert found("../client.py", farm) == str(farm / "config.py")


def test_a_called_name_that_is_no_file_does_not_make_the_working_folder_decide(
    farm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(farm / "ue")
    assert found("clang", farm) == str(farm / "config.py")
    assert found("", farm) == str(farm / "config.py")


def test_a_loop_of_links_ends(farm: Path, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "grows").symlink_to("grows/x")
    for name in ("a", "self", "grows"):
        assert found(tmp_path / name, farm) == str(farm / "config.py")


def test_the_variable_goes_first_and_must_name_a_file(farm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = farm / "ue" / "config.py"
    assert found(farm / "client.py", farm, SHADOWFARM_CONFIG=str(mine)) == str(mine)
    monkeypatch.chdir(farm)
    assert found(farm / "client.py", farm, SHADOWFARM_CONFIG="ue/config.py") == str(mine)
    assert found(farm / "client.py", farm, SHADOWFARM_CONFIG="") == str(farm / "config.py")
    for wrong in ("none.py", "ue"):
        with pytest.raises(ConfigError, match=f"SHADOWFARM_CONFIG is '{wrong}', where there is no file"):
            found(farm / "client.py", farm, SHADOWFARM_CONFIG=wrong)


def test_without_any_config_there_is_no_path(farm: Path) -> None:
    (farm / "config.py").unlink()
    assert found(farm / "client.py", farm) == ""


# --- match lists


@pytest.mark.parametrize(
    ("entry", "program", "expected"),
    [
        ("*", "/usr/bin/cc", True),
        ("clang", "/usr/bin/clang", True),
        ("clang", "/usr/bin/clang_", True),
        ("clang", "clang_", True),
        ("clang_", "/usr/bin/clang_", True),
        ("clang_", "/usr/bin/clang", False),
        ("clang", "/usr/bin/clang++", False),
        ("clang", "/usr/bin/clang__", False),
        ("bin/clang", "/usr/bin/clang_", True),
        ("/usr/bin/clang", "/usr/bin/clang", True),
        ("/usr/bin/clang", "usr/bin/clang", False),
        ("ar", "/usr/bin/tar", True),
        ("/ar", "/usr/bin/tar", False),
        ("/ar", "/usr/bin/ar_", True),
        ("/ar", "ar", True),
        ("clang*", "/usr/bin/clang", False),
    ],
)
def test_an_entry_means_the_end_of_a_programs_path(entry: str, program: str, expected: bool) -> None:
    assert config.matches(("/no/such", entry), program) is expected


def test_an_empty_match_list_means_nothing() -> None:
    assert config.matches((), "/usr/bin/cc") is False


# --- cost


def test_a_cold_client_does_not_pay_for_the_tools_of_error_messages(write: Write) -> None:
    path = write("WORKERS = ('a:1',)\n")
    code = (
        "import sys, __future__, dataclasses, warnings; before = set(sys.modules)\n"
        f"from shadowfarm import config; config.load({path!r})\n"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('shadowfarm')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
