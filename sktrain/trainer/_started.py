"""What a run was begun with: kept beside its checkpoints, so that a resumed run is the same run.

Checkpoints of an earlier run are cleared only here: after everything that can be refused was
accepted, and while the folder is held.
"""

import json
import shutil

from .._io import atomic_write, to_plain
from ..exceptions import SktrainError
from ._evidence import fingerprint
from ._run_folder import CHECKPOINTS, record_in, said

__all__ = ["begin"]

_FILE = "run.json"


def begin(run, *, resume):
    """Take up the checkpoints of the run that was begun with the same arguments, or clear those of
    an earlier run.

    Raises
    ------
    SktrainError
        With ``resume``, when the run in the folder was begun with other arguments or bars; they
        are named.
    """
    folder = run.folder / CHECKPOINTS
    now = _arguments(run)
    before = record_in(folder / _FILE)
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    elif before is None:
        run.reporter.note("resume: no run was interrupted here, training starts from the beginning")
    else:
        changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if changed:
            told = "; ".join(
                f"{said(name)[1:-1]} was {said(before.get(name))}, now {said(now.get(name))}"
                for name in changed
            )
            raise SktrainError(
                f"resume=True takes up the run that was begun here, but {told}. Ask for the same, "
                "or train without resume."
            )
    folder.mkdir(exist_ok=True)
    atomic_write(folder / _FILE, json.dumps(now).encode(), follow=False)


def _arguments(run):
    plan = run.plan
    asked = {
        name: getattr(plan, name) for name in ("epochs", "batch_size", "learning_rate", "horizon")
    }
    return to_plain(
        {
            **asked,
            "given": list(run.given),
            **run.config.to_dict(),
            "bars": fingerprint(run.source.bars),
        }
    )
