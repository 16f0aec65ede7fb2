"""What is said of a Ray cluster that cannot be used: one sentence, with what would help."""

from pathlib import Path

from cifar_tui.runs.record import this_host

NO_CLUSTER = (
    "No Ray cluster runs here; `ray start --head` starts one on this machine, "
    "--option address=HOST:6379 names another."
)


def why(error: Exception) -> str:
    """One sentence about a cluster that cannot be used, and what would help."""
    text = short(error)
    if "not find any running Ray" in str(error) or "No cluster" in str(error):
        return NO_CLUSTER
    if "ray[client]" in text:
        return "An address with ray:// needs more; pip install 'ray[client]', or name HOST:6379."
    if "No module named 'cifar_tui" in str(error):
        return "The nodes of the Ray cluster lack cifar-tui; install it there, too."
    return f"Ray: {text}"


def short(error: BaseException) -> str:
    """The last line of what Ray tells, which names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]


def unseen(path: Path) -> str:
    """That the head cannot work on a run or a folder of runs, and what would help."""
    return (
        f"The Ray cluster's head {this_host()} does not see {path}; start the cluster where the "
        "folder of runs is, or name one that the head shares with this machine (--runs)."
    )


def taken(runs: Path, host: str) -> str:
    """That only one cluster may keep the queue of a folder of runs, and what would help."""
    return (
        f"The queue of {runs} is kept by another Ray cluster (its head is {host or 'not known'}); "
        "use that one, stop it, or name another folder of runs (--runs)."
    )
