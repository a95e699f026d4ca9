"""The paths of settings, state, lock and socket, as strings.

Imports only what a bare interpreter has loaded, since a shell prompt uses it: the import of `typing` would take as
long as starting the interpreter.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # as above
    from collections.abc import Mapping, MutableMapping

FOLDER = "claude-tracker"

_SHARED = "/tmp"  # noqa: S108 - what is in it is checked on use; $TMPDIR may differ from shell to shell
_USERS = "/run/user"
_DARWIN_USER_TEMP_DIR = 65537
_SOCKET_BYTES = {"darwin": 104, "linux": 108}


def config_path(environ: "Mapping[str, str]", override: str | None = None) -> str:
    """Return the settings file: `--config`, else `$MONITOR_CONFIG`, else the user's own. It need not exist."""
    named = override or environ.get("MONITOR_CONFIG")
    if named:
        return _expand_home(named, environ)
    return os.path.join(_xdg_folder(environ, "XDG_CONFIG_HOME", ".config"), FOLDER, "config.toml")


def find_session_bus(environ: "MutableMapping[str, str]", platform: str = sys.platform) -> None:
    """Set the variable of the session bus where it is missing, as over ssh, if the bus's socket is the user's own."""
    folder = environ.get("XDG_RUNTIME_DIR", "")
    if platform != "linux" or environ.get("DBUS_SESSION_BUS_ADDRESS") or not os.path.isabs(folder):
        return
    socket = os.path.join(folder, "bus")
    try:
        found = os.stat(socket)
    except OSError:
        return
    if found.st_mode & 0o170000 == 0o140000 and found.st_uid == os.getuid():
        environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={socket}"


def refuse_missing(environ: "Mapping[str, str]", override: str) -> None:
    """Raise SettingsError where `--config` names a file that does not exist, so is mistyped.

    A file that the environment names may be made later.
    """
    path = config_path(environ, override)
    try:
        os.stat(path)
    except FileNotFoundError:
        from monitor.core.errors import SettingsError

        raise SettingsError(f"no such file: {path}") from None
    except OSError:
        pass  # reading it says better why it cannot be looked at


def state_folder(environ: "Mapping[str, str]") -> str:
    """Return the folder of the state database and the log. It need not exist."""
    return os.path.join(_xdg_folder(environ, "XDG_STATE_HOME", ".local/state"), FOLDER)


def runtime_folder(environ: "Mapping[str, str]", platform: str = sys.platform) -> str:
    """Return the folder of lock and socket. It need not exist, and must be checked on use: it may be another user's.

    Where the environment names none, it is the same for all shells, services and jobs of the user.
    """
    own = f"{_USERS}/{os.getuid()}" if platform == "linux" else ""
    for base in (environ.get("XDG_RUNTIME_DIR", ""), own, _darwin_folder(platform)):
        if os.path.isabs(base) and _is_own_folder(base):
            return os.path.join(base, FOLDER)
    return _shared_folder()


def instance_key(environ: "Mapping[str, str]", config: "str | os.PathLike[str]") -> str:
    """Return the key of a settings file, which keeps its monitor and rows apart; empty for the default settings file.

    That is the one in the home folder that the system knows, so that any other has a key, whether `--config`,
    `$MONITOR_CONFIG`, `$XDG_CONFIG_HOME` or `$HOME` leads to it.
    """
    real = os.path.realpath(config)
    ordinary = os.path.join(_system_home(environ), ".config", FOLDER, "config.toml")
    return "" if real == os.path.realpath(ordinary) else _short_hash(real)


def instance(environ: "Mapping[str, str]", config: "str | os.PathLike[str]") -> tuple[str, str]:
    """Return the lock and the socket of the monitor that polls by this settings file."""
    folder, key = runtime_folder(environ), instance_key(environ, config)
    return lock_path(folder, key), socket_path(folder, key)


def lock_path(folder: str, key: str) -> str:
    """Return the file that the leader of this instance keeps locked."""
    return os.path.join(folder, f"lock-{key}" if key else "lock")


def socket_path(folder: str, key: str, platform: str = sys.platform) -> str:
    """Return the socket of this instance's leader; a shorter path where the system cannot take so long a one."""
    path = os.path.join(folder, f"socket-{key}" if key else "socket")
    room = _SOCKET_BYTES.get(platform, 104) - len("~\0")  # it is bound as `socket~` first
    if len(os.fsencode(path)) <= room:
        return path
    return os.path.join(_shared_folder(), f"socket-{_short_hash(path)}")


def _xdg_folder(environ: "Mapping[str, str]", variable: str, default: str) -> str:
    """Return the folder that an XDG variable names; a relative value is ignored, as the specification says."""
    given = environ.get(variable, "")
    return given if os.path.isabs(given) else os.path.join(_home(environ), default)


def _expand_home(path: str, environ: "Mapping[str, str]") -> str:
    """Put the home folder for a leading `~`, which a shell leaves alone in `--config=~/x`."""
    first, _, rest = path.partition("/")
    return os.path.join(_home(environ), rest.lstrip("/")) if first == "~" else path


def _home(environ: "Mapping[str, str]") -> str:
    home = environ.get("HOME") or os.path.expanduser("~")
    if home.startswith("~"):
        from monitor.core.errors import SettingsError

        raise SettingsError("no home folder is known: set HOME, or name a file by --config")
    return home


def _system_home(environ: "Mapping[str, str]") -> str:
    """Return the home folder by the system's list of users, if this user is in it."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return environ.get("HOME") or os.path.expanduser("~")


def _is_own_folder(path: str) -> bool:
    try:
        return os.path.isdir(path) and os.stat(path).st_uid == os.getuid()
    except OSError:
        return False


def _darwin_folder(platform: str) -> str:
    """Return the user's own temporary folder of macOS, whose name older Pythons do not know."""
    if platform != "darwin":
        return ""
    name = "CS_DARWIN_USER_TEMP_DIR"
    try:
        return os.confstr(os.confstr_names.get(name, _DARWIN_USER_TEMP_DIR)) or ""
    except (OSError, ValueError):
        return ""


def _shared_folder() -> str:
    return f"{_SHARED}/{FOLDER}-{os.getuid()}"


def _short_hash(text: str) -> str:
    """Hash a text by FNV-1a: the import of hashlib takes longer than a running monitor's answer."""
    value = 0xCBF29CE484222325
    for byte in os.fsencode(text):
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return f"{value:016x}"[:12]
