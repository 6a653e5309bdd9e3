"""When the scheduler will end this job: SLURM says so in the environment, or when asked."""

import os
import subprocess
import time
from datetime import datetime

PATIENCE = 5.0  # seconds for squeue, whose controller may be busy


def seconds_left(fresh=False):
    """Return the seconds until SLURM ends this job, None outside a job, without a limit, or where nobody says.

    fresh: ask the controller even where the environment says it, since the limit of a running job can be changed.
    """
    if "SLURM_JOB_ID" not in os.environ:
        return None
    end = _asked(os.environ["SLURM_JOB_ID"]) if fresh else _told()
    if end is None:
        end = _told() if fresh else _asked(os.environ["SLURM_JOB_ID"])
    return None if end is None else end - time.time()


def _told():
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    return float(end) if end.isdigit() else None


def _asked(job):
    command = ["squeue", "--noheader", "--format=%e", f"--jobs={job}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        return datetime.fromisoformat(answer.stdout.strip()).timestamp()
    except (OSError, ValueError, subprocess.SubprocessError):  # not there, no answer, or "N/A"
        return None
