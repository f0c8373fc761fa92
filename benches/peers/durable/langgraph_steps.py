"""Durable steps of LangGraph: one graph whose only node reads a file, once a super-step, with a checkpoint for each.

langgraph_steps.py FILE STEPS FOLDER: prints one line of JSON for each durability.
"""

import json
import sqlite3
import sys
import time
from pathlib import Path
from typing import TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    done: int
    text: str


def graph(file: Path, steps: int, saver: SqliteSaver):
    """A graph that reads the file so many times, each in a super-step of its own."""

    def read(state: State) -> State:
        return {"done": state["done"] + 1, "text": file.read_text()}

    builder = StateGraph(State)
    builder.add_node("read", read)
    builder.add_edge(START, "read")
    builder.add_conditional_edges("read", lambda state: "read" if state["done"] < steps else END)
    return builder.compile(checkpointer=saver)


def main() -> None:
    file, steps, folder = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    for durability in ("sync", "async"):
        connection = sqlite3.connect(folder / f"langgraph-{durability}.sqlite", check_same_thread=False)
        saver = SqliteSaver(connection)
        saver.setup()
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
        assert synchronous == 2, "SQLite is built with another default"
        config = {"configurable": {"thread_id": "1"}, "recursion_limit": steps + 10}
        started = time.perf_counter()
        done = graph(file, steps, saver).invoke({"done": 0, "text": ""}, config, durability=durability)["done"]
        seconds = time.perf_counter() - started
        assert done == steps
        name = f"LangGraph, SqliteSaver, durability={durability}"
        print(json.dumps({"name": name, "durability": "WAL, synchronous=FULL", "rate": steps / seconds}), flush=True)


main()
