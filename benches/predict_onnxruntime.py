"""The embedded model in onnxruntime, one thread, beside what `cargo bench --manifest-path models/Cargo.toml` measures in the same minutes.

    python3 -m pip install onnxruntime numpy && python3 benches/predict_onnxruntime.py

Prints medians of 15 rounds, and how far onnxruntime's answers are from those that tract gave when the model was exported
(`models/reports/wrong.csv` holds some of these with four digits).
"""

import csv
import pathlib
import statistics
import time

import numpy
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parents[1]
FEATURES = 9


def median(calls, call):
    rounds = []
    for _ in range(15):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        rounds.append((time.perf_counter() - start) / calls)
    return statistics.median(rounds)


def main():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    model = onnxruntime.InferenceSession(str(ROOT / "models/risk.onnx"), options, providers=["CPUExecutionProvider"])
    random = numpy.random.default_rng(7)
    for rows, calls in [(1, 2000), (1024, 50)]:
        batch = random.integers(1, 60, (rows, FEATURES)).astype(numpy.float32)
        took = median(calls, lambda: model.run(None, {"features": batch}))
        print(f"onnxruntime {onnxruntime.__version__}, {rows:>4} rows: {took * 1e6:8.2f} µs a call, {took / rows * 1e9:6.0f} ns a row")
    with open(ROOT / "models/reports/wrong.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))[1:]
    plans = numpy.array([line[1 : 1 + FEATURES] for line in lines], dtype=numpy.float32)
    said = numpy.array([line[-3:] for line in lines], dtype=numpy.float32)
    far = float(abs(model.run(None, {"features": plans})[0] - said).max())
    print(f"{len(lines)} plans of wrong.csv: at most {far:.6f} from what was written down with four digits")


if __name__ == "__main__":
    main()
