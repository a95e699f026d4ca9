"""The search for secrets in whatever a program has shown, written, or given to a process: plain, cut, or encoded."""

import base64
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

LOOK_SECS = 0.02


def forms(secret: str) -> list[bytes]:
    """As it is, its tail (a prefix may be cut off), in hex, and in base64 at each of the three offsets."""
    text = secret.encode()
    shifted = [b"x" * offset + text for offset in range(3)]
    encoded = [encode(each)[4:-4] for each in shifted for encode in ENCODINGS]
    return [text, text[-20:], text.hex().encode(), text.hex().upper().encode(), *encoded]


ENCODINGS = (base64.b64encode, base64.urlsafe_b64encode)


def leaks(texts: Mapping[str, bytes], secrets: Iterable[str]) -> list[str]:
    """The names of the texts that hold one of the secrets."""
    wanted = [form for secret in secrets for form in forms(secret)]
    return [name for name, text in texts.items() if any(form in text for form in wanted)]


def files_below(folder: Path, planted: Container[str] = ()) -> dict[str, bytes]:
    """Every file but those of the planted names."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in planted)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class Processes:
    """Arguments and environments of a user's processes, and of whatever these start, by what was run."""

    def __init__(self, home: Path) -> None:
        self._home = str(home).encode()
        self.seen: dict[str, bytes] = {}

    def look(self) -> None:
        found = dict(_processes())
        ours = {pid for pid, (_, text) in found.items() if self._home in text}
        while more := {pid for pid, (parent, _) in found.items() if parent in ours} - ours:
            ours |= more
        for pid in ours:
            text = found[pid][1]
            self.seen[f"process {pid}: {hash(text)}"] = text

    def ran(self, words: bytes) -> bool:
        """Whether a process was seen that has these words among its arguments."""
        return any(words in text for text in self.seen.values())


def _processes() -> Iterator[tuple[int, tuple[int, bytes]]]:
    """Each process's parent, and its arguments and environment."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            text = (folder / "cmdline").read_bytes() + b"\0" + (folder / "environ").read_bytes()
        except OSError:
            continue  # it has ended meanwhile, or is another user's
        yield int(folder.name), (parent, text)


@contextmanager
def watched_processes(home: Path) -> Iterator[Processes]:
    """Looked at again and again for the time of the block, so that short-lived ones are seen too."""
    processes, ended = Processes(home), Event()

    def watch() -> None:
        while not ended.wait(LOOK_SECS):
            processes.look()

    thread = Thread(target=watch)
    thread.start()
    try:
        yield processes
    finally:
        ended.set()
        thread.join()
