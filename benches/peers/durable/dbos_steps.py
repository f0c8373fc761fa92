"""Durable steps of DBOS on SQLite: one workflow whose steps read a file.

dbos_steps.py FILE STEPS FOLDER: prints one line of JSON.
"""

import json
import logging
import sys
import time
from pathlib import Path

from dbos import DBOS


def main() -> None:
    file, steps, folder = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    database = f"sqlite:///{folder / 'dbos.sqlite'}"
    DBOS(config={"name": "steps", "system_database_url": database, "log_level": "ERROR", "run_admin_server": False})

    @DBOS.step()
    def read() -> str:
        return file.read_text()

    @DBOS.workflow()
    def reads(count: int) -> int:
        return sum(len(read()) > 0 for _ in range(count))

    logging.getLogger("dbos").setLevel(logging.ERROR)
    DBOS.launch()
    reads(5)
    started = time.perf_counter()
    done = reads(steps)
    seconds = time.perf_counter() - started
    assert done == steps
    line = {"name": "DBOS, SQLite", "durability": "as it comes: rollback journal, synchronous=FULL", "rate": steps / seconds}
    print(json.dumps(line), flush=True)
    DBOS.destroy()


main()
