"""Claude Tracker: the usage of several Claude accounts in one table, one scrape target and one stream of alerts."""

__version__ = "0.1.0"


def revision() -> str:
    """The commit that the program was installed or is run from; empty where that is not known."""
    import json  # here, since every start of the program reads this file
    from importlib import metadata
    from pathlib import Path

    try:
        installed = metadata.distribution("claude-tracker").read_text("direct_url.json")
        known: str = json.loads(installed or "{}").get("vcs_info", {}).get("commit_id", "")
        git = Path(__file__).parents[1] / ".git"
        if known or not git.exists():
            return known
        if git.is_file():  # a work tree beside the repository
            git = Path(git.read_text().removeprefix("gitdir:").strip())
        head = (git / "HEAD").read_text().strip()
        shared = git / "commondir"
        if shared.exists():
            git = git / shared.read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        loose = git / name
        if loose.exists():
            return loose.read_text().strip()
        packed = (git / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
    except (OSError, ValueError, metadata.PackageNotFoundError):
        return ""
