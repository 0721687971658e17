"""`ssdseg train` in name alone: leaves what a training leaves, an epoch a call, and fails as asked by a file beside it.

With `fail` there, worker 1 ends after the epoch for a reason of its own, and worker 0 because worker 1 has.
"""

import json
import os
import sys
import zipfile
from pathlib import Path

folder, rank = Path(sys.argv[2]), int(sys.argv[-1])
kept = folder / "checkpoints"
kept.mkdir(exist_ok=True)
epochs = 1 + len(list(kept.glob("*.json")))
log = [{"loss": 3.0 / epoch, "val_loss": 4.0 / epoch} for epoch in range(1, epochs + 1)]
(kept / f"{epochs:04d}.json").write_text(json.dumps({"begun_with": {}, "log": log}))
rows = "".join(f"{epoch},{one['loss']},{one['val_loss']}\n" for epoch, one in enumerate(log))
(folder / "log.csv").write_text(f"epoch,loss,val_loss\n{rows}")
if Path(os.environ["SSDSEG_HOME"], "fail").exists():
    sys.exit("ssdseg: the disk is full" if rank else "ssdseg: worker 1, 10.0.0.6:1, has stopped: the disk is full")
with zipfile.ZipFile(folder / "network.keras", "w") as file:
    file.writestr("arguments", " ".join(sys.argv[3:]))
