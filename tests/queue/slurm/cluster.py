"""A Slurm of one machine in a folder of its own, for as long as a test needs it.

It has a GPU that is only a file, and a second node that nobody ever reaches.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 60.0
AWAY = "faraway"
"""The node that is never there."""
CONF = """
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=20
MinJobAge=300
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 Gres=gpu:pretend:1 State=UNKNOWN
NodeName={away} NodeAddr=127.0.0.1 Port=1 CPUs=64 RealMemory=512000 Gres=gpu:a100:4 State=DOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=short Nodes={host},{away} Default=YES PriorityTier=1
PartitionName=cheap Nodes={host} PriorityTier=1 PreemptMode=CANCEL
PartitionName=urgent Nodes={host} PriorityTier=2 PreemptMode=OFF
"""


def missing() -> str:
    """What a trial lacks here, in words; empty where it can be made."""
    gone = [name for name in (*DAEMONS, "sbatch") if shutil.which(name, path=PATH) is None]
    if gone:
        return f"{', '.join(gone)} missing: apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "only root can start Slurm's daemons"


@contextmanager
def one_machine(folder: Path) -> Iterator[dict[str, str]]:
    """Start the daemons in `folder`, yield the environment its commands need, end the daemons."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    host = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, away=AWAY, folder=folder, ports=_free_ports()))
    (folder / "gpu0").touch()
    (folder / "gres.conf").write_text(
        f"NodeName={host} Name=gpu Type=pretend File={folder}/gpu0\n"
        f"NodeName={AWAY} Name=gpu Type=a100 Count=4\n"
    )
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    environment = {**os.environ, "SLURM_CONF": str(conf), "PATH": f"{PATH}:{os.environ['PATH']}"}
    munge = [
        *("munged", "--foreground", "--force", f"--key-file={key}"),
        *(f"--{what}={folder}/munge.{what.split('-')[0]}" for what in ("socket", "pid-file")),
        *(f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"),
    ]
    daemons: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], until: Callable[[], bool]) -> None:
        with (folder / f"{command[0]}.out").open("wb") as out:
            daemons.append(
                subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=folder)
            )
        end = time.monotonic() + PATIENCE
        while not until():
            if daemons[-1].poll() is not None or time.monotonic() > end:
                said = (folder / f"{command[0]}.out").read_text()[-2000:]
                raise RuntimeError(f"{command[0]} did not start: {said}")
            time.sleep(0.1)

    def is_idle() -> bool:
        asked = subprocess.run(
            ["sinfo", "-h", "-n", host, "-o", "%t"], env=environment, capture_output=True, text=True
        )
        return asked.stdout.strip() == "idle"

    try:
        start(munge, (folder / "munge.socket").exists)
        start(["slurmctld", "-D", "-i"], lambda: _ok(["scontrol", "ping"], environment))
        start(["slurmd", "-D", "-N", host], is_idle)
        yield environment
    finally:
        _ok(["scancel", f"--user={os.geteuid()}"], environment)
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _ok(command: list[str], environment: dict[str, str]) -> bool:
    done = subprocess.run(command, env=environment, capture_output=True)
    return done.returncode == 0 and b"DOWN" not in done.stdout


def _free_ports() -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
