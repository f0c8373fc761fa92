//! Cost of a prediction, beside its floors: tract alone with the same graph, a hand-written forward pass with the same
//! weights, and one with the same weights over many rows at once. tract reads the file by its own `tract-onnx` here, which
//! the host does without. Also the cost of an explanation, and tract's time by
//! number of rows.
//!
//! `cargo bench --manifest-path models/Cargo.toml`; beside onnxruntime: `python3 benches/predict_onnxruntime.py`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a benchmark")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use fusebox_core::Plan;
use fusebox_core::risk::{Features, PlanShape};
use fusebox_risk::{FeatureContext, Model, features};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::dims;

const ONNX: &[u8] = include_bytes!("../risk.onnx");

/// Median nanoseconds of one call, over rounds of so many calls.
struct Case<'a> {
    name: String,
    calls: usize,
    /// Number of rows in one call.
    rows: usize,
    call: Box<dyn FnMut() + 'a>,
    times: Vec<f64>,
}

fn main() {
    // One round shows that it runs.
    let rounds = if option_env!("BENCH_SMOKE").is_some() { 1 } else { 15 };
    let plan = Plan::parse(plan_text().as_bytes()).unwrap();
    let programs: BTreeMap<_, _> = [("run_command".to_owned(), "/argv/0".to_owned())].into();
    let context = FeatureContext {
        is_high_risk: &|tool| tool.step_type == "run_command",
        retries: 0,
        most_retries: 5,
        time_s: 300,
    };
    let model = Model::embedded().unwrap();
    let of_plan = || features(&PlanShape::of(&plan, &programs), &context).0;
    let some: Features = of_plan();
    let many: Vec<Features> =
        (0..1024).map(|n| Features { num_steps: 8 + n % 40, est_tokens: n * 20, ..some }).collect();
    let inputs: Vec<[f32; 9]> = many.iter().map(Features::inputs).collect();
    let by_hand = ByHand::of(ONNX);

    let input = some.inputs();
    let mut cases: Vec<Case<'_>> = Vec::new();
    let mut state = of_rows(1, "probabilities");
    add(&mut cases, "tract alone: state kept, tensor made", 1, 2000, move || {
        black_box(run(&mut state, &input));
    });
    add(&mut cases, "prediction, from features", 1, 2000, || drop(black_box(model.predict(black_box(&some)).unwrap())));
    add(&mut cases, "features of a plan of 8 steps, and prediction", 1, 2000, || {
        drop(black_box(model.predict(&of_plan()).unwrap()))
    });
    add(&mut cases, "hand-written forward pass, same weights", 1, 2000, || {
        black_box(by_hand.run(black_box(&input)));
    });
    add(&mut cases, "explanation: exact Shapley values", 1, 20, || {
        black_box(model.explain(&some).unwrap());
    });
    for rows in [1024, 256, 64, 32, 16, 8] {
        let mut state = of_rows(rows, "probabilities");
        let inputs = &inputs;
        add(&mut cases, &format!("tract alone, 1024 rows, {rows} at once"), 1024, 20, move || {
            inputs.chunks(rows).for_each(|block| {
                black_box(run(&mut state, block.as_flattened()));
            })
        });
    }
    let mut layers = of_rows(64, "dense_2");
    let blocks = &inputs;
    add(&mut cases, "tract alone, 1024 rows, 64 at once, no softmax", 1024, 20, move || {
        blocks.chunks(64).for_each(|block| {
            black_box(run(&mut layers, block.as_flattened()));
        });
    });
    let mut any = any_rows();
    let all = &inputs;
    add(&mut cases, "tract alone, 1024 rows, graph for any number", 1024, 20, move || {
        black_box(run(&mut any, all.as_flattened()));
    });
    add(&mut cases, "1024 predictions at once", 1024, 20, || drop(black_box(model.predict_all(&many).unwrap())));
    add(&mut cases, "hand-written, 1024 rows", 1024, 20, || {
        for input in &inputs {
            black_box(by_hand.run(input));
        }
    });
    for _ in 0..rounds {
        for case in &mut cases {
            let start = Instant::now();
            for _ in 0..case.calls {
                (case.call)();
            }
            case.times.push(start.elapsed().as_nanos() as f64 / case.calls as f64);
        }
    }
    println!("{:<52} {:>12} {:>14}", "median of rounds", "a call", "a row");
    for case in &mut cases {
        case.times.sort_by(f64::total_cmp);
        let median = case.times[case.times.len() / 2];
        println!("{:<52} {:>9.2} µs {:>11.0} ns", case.name, median / 1e3, median / case.rows as f64);
    }
    let median = |place: usize| cases[place].times[cases[place].times.len() / 2];
    println!("\nfeatures and prediction are {:.2} times tract alone (goal: 1.3)", median(2) / median(0));
    println!("an explanation takes {:.0} µs (goal: 1,000)", median(4) / 1e3);
}

fn add<'a>(cases: &mut Vec<Case<'a>>, name: &str, rows: usize, calls: usize, call: impl FnMut() + 'a) {
    cases.push(Case { name: name.to_owned(), calls, rows, call: Box::new(call), times: Vec::new() });
}

fn plan_text() -> String {
    let steps: Vec<String> = (0..8)
        .map(|step| {
            let step_type = ["read_file", "edit_file", "run_command"][step % 3];
            format!(r#"{{"step_type":"{step_type}","input":{{"path":"src/{step}.rs","argv":["make","test"]}}}}"#)
        })
        .collect();
    format!(r#"{{"goal":"g","agent":{{"id":"a"}},"steps":[{}]}}"#, steps.join(","))
}

fn of_rows(rows: usize, output: &str) -> TypedSimpleState {
    let mut model = tract_onnx::onnx().model_for_read(&mut &*ONNX).unwrap();
    model.select_outputs_by_name([output]).unwrap();
    model.set_input_fact(0, f32::fact([rows, 9]).into()).unwrap();
    model.into_optimized().unwrap().into_runnable().unwrap().spawn().unwrap()
}

/// The graph with an open number of rows, for a caller that does not know it beforehand.
fn any_rows() -> TypedSimpleState {
    let mut model = tract_onnx::onnx().model_for_read(&mut &*ONNX).unwrap();
    let rows = model.sym("rows");
    model.set_input_fact(0, f32::fact(dims!(rows, 9)).into()).unwrap();
    model.into_optimized().unwrap().into_runnable().unwrap().spawn().unwrap()
}

fn run(state: &mut TypedSimpleState, input: &[f32]) -> [f32; 3] {
    let tensor = Tensor::from_shape(&[input.len() / 9, 9], input).unwrap();
    let answer = state.run(tvec![tensor.into_tvalue()]).unwrap();
    *answer[0].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().first_chunk().unwrap()
}

/// The network by hand: three layers of plain loops.
struct ByHand {
    layers: Vec<(Vec<f32>, Vec<f32>, usize)>,
}

impl ByHand {
    fn of(onnx: &[u8]) -> Self {
        let proto = tract_onnx::onnx().proto_model_for_read(&mut &*onnx).unwrap();
        let floats =
            |bytes: &[u8]| bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        let constants = proto.graph.unwrap().initializer;
        let layers = constants.chunks(2).map(|pair| {
            let width = pair[1].dims[0] as usize;
            (floats(&pair[0].raw_data), floats(&pair[1].raw_data), width)
        });
        Self { layers: layers.collect() }
    }

    fn run(&self, input: &[f32; 9]) -> [f32; 3] {
        let (mut from, mut to) = ([0.0_f32; 64], [0.0_f32; 64]);
        from[..9].copy_from_slice(input);
        let mut inputs = 9;
        for (place, (weights, bias, width)) in self.layers.iter().enumerate() {
            let to = &mut to[..*width];
            to.copy_from_slice(bias);
            for (value, row) in from[..inputs].iter().zip(weights.chunks_exact(*width)) {
                for (sum, weight) in to.iter_mut().zip(row) {
                    *sum += value * weight;
                }
            }
            if place + 1 < self.layers.len() {
                to.iter_mut().for_each(|value| *value = value.max(0.0));
            }
            from[..*width].copy_from_slice(to);
            inputs = *width;
        }
        let most = from[0].max(from[1]).max(from[2]);
        let mut answer = [(from[0] - most).exp(), (from[1] - most).exp(), (from[2] - most).exp()];
        let sum: f32 = answer.iter().sum();
        answer.iter_mut().for_each(|value| *value /= sum);
        answer
    }
}
