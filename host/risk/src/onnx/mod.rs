//! Checks of an ONNX file before it is loaded: its operators and its size in memory are known beforehand.

pub mod proto;
mod wire;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use prost::Message as _;
use tract_core::prelude::*;

use crate::Error;
use proto::{GraphProto, ModelProto, NodeProto, TensorProto};

/// Supported operators: those of networks of layers. None of them loops, reads files, or grows its input without bound.
const OPERATORS: [&str; 19] = [
    "Add",
    "Clip",
    "Constant",
    "Div",
    "Elu",
    "Gemm",
    "Identity",
    "LeakyRelu",
    "LogSoftmax",
    "MatMul",
    "Max",
    "Min",
    "Mul",
    "Relu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Sub",
    "Tanh",
];
/// Most operators of a graph.
const MAX_NODES: usize = 256;
/// Longest side of a constant. With two sides at the most, nothing that comes of constants is larger than its square.
const MAX_SIDE: i64 = 1024;
/// ONNX's number for 32-bit floats.
const FLOAT: i32 = 1;

/// Output of the last operator of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Probabilities of the levels.
    Probabilities,
    /// Inputs of a softmax: the graph's own softmax was removed. Over rows of three numbers, tract's takes a third of
    /// its whole time, because it is set up anew for each row.
    Logits,
}

/// Parses an ONNX file and checks its content.
pub fn read(bytes: &[u8]) -> Result<(ModelProto, Ending), Error> {
    let mut proto = ModelProto::decode(bytes).map_err(|error| bad(format!("it is not an ONNX file: {error}")))?;
    let graph = proto.graph.as_mut().ok_or_else(|| bad("it has no graph".to_owned()))?;
    check(graph)?;
    let ending = without_softmax(graph);
    Ok((proto, ending))
}

/// Takes a softmax over each row off the end of a graph.
fn without_softmax(graph: &mut GraphProto) -> Ending {
    let [output] = graph.output.as_mut_slice() else { return Ending::Probabilities };
    let is_last = |node: &NodeProto| node.output.first() == Some(&output.name);
    // Of two dimensions, the last is 1 or -1; without a word, it is the last.
    let is_by_row =
        |node: &NodeProto| node.attribute.iter().all(|said| said.name == "axis" && [1, -1].contains(&said.i));
    let Some(place) = graph.node.iter().position(is_last) else { return Ending::Probabilities };
    match graph.node.get(place) {
        Some(node) if node.op_type == "Softmax" && is_by_row(node) && node.input.len() == 1 => {
            output.name = node.input.first().cloned().unwrap_or_default();
            graph.node.remove(place);
            Ending::Logits
        }
        _ => Ending::Probabilities,
    }
}

fn check(graph: &GraphProto) -> Result<(), Error> {
    if graph.node.len() > MAX_NODES {
        return Err(bad(format!("it has {} operators; the most is {MAX_NODES}", graph.node.len())));
    }
    for node in &graph.node {
        let known = OPERATORS.contains(&node.op_type.as_str()) && node.domain.is_empty();
        if !known {
            return Err(bad(format!(
                "the operator {:?} is not served; known are {}",
                node.op_type,
                OPERATORS.join(", ")
            )));
        }
        let tensors = node.attribute.iter().filter_map(|attribute| attribute.t.as_ref());
        tensors.chain(&[]).try_for_each(check_tensor)?;
        if node.attribute.iter().any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty()) {
            return Err(bad(format!("the operator {:?} holds a graph of its own", node.op_type)));
        }
    }
    if !graph.sparse_initializer.is_empty() {
        return Err(bad("it has sparse constants".to_owned()));
    }
    graph.initializer.iter().try_for_each(check_tensor)?;
    check_names(graph)
}

fn check_tensor(tensor: &TensorProto) -> Result<(), Error> {
    if !tensor.external_data.is_empty() || tensor.data_location != 0 {
        return Err(bad(format!("the constant {:?} lies in another file", tensor.name)));
    }
    if tensor.dims.len() > 2 || tensor.dims.iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
        return Err(bad(format!(
            "the constant {:?} has the sides {:?}; expected two at the most, of 1 to {MAX_SIDE}",
            tensor.name, tensor.dims
        )));
    }
    if tensor.data_type != FLOAT {
        return Err(bad(format!("the constant {:?} does not hold 32-bit floats", tensor.name)));
    }
    Ok(())
}

/// Whether every name that is used was given before, and only once: tract takes that for granted.
fn check_names(graph: &GraphProto) -> Result<(), Error> {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let given = graph.input.iter().map(|input| &input.name).chain(graph.initializer.iter().map(|tensor| &tensor.name));
    for name in given {
        if name.is_empty() || !known.insert(name) {
            return Err(bad(format!("the name {name:?} is given twice, or empty")));
        }
    }
    for node in &graph.node {
        // An empty name leaves an optional input out.
        if let Some(unknown) = node.input.iter().find(|name| !name.is_empty() && !known.contains(name.as_str())) {
            return Err(bad(format!("{:?} takes {unknown:?}, which nothing before it gives", node.op_type)));
        }
        for name in &node.output {
            if name.is_empty() || !known.insert(name) {
                return Err(bad(format!("the name {name:?} is given twice, or empty")));
            }
        }
    }
    match graph.output.iter().find(|output| !known.contains(output.name.as_str())) {
        Some(output) => Err(bad(format!("its output {:?} is given by nothing", output.name))),
        None => Ok(()),
    }
}

/// Runs tract. A panic on an unforeseen graph becomes an error like others.
pub fn guarded<T>(run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    std::panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(bad("the inference engine broke off; the file is damaged, or uses unknown features".to_owned()))
    })
}

/// Makes a graph ready for this many rows at once.
pub fn plan(proto: &ModelProto, rows: usize) -> Result<Arc<TypedRunnableModel>, Error> {
    guarded(|| plan_unguarded(proto, rows))
}

fn plan_unguarded(proto: &ModelProto, rows: usize) -> Result<Arc<TypedRunnableModel>, Error> {
    let refuse = |error: TractError| bad(format!("{error:#}"));
    let model = wire::graph(proto, rows).and_then(TypedModel::into_optimized).map_err(refuse)?;
    let fact = model.output_fact(0).map_err(refuse)?;
    if fact.datum_type != DatumType::F32 || fact.shape.as_concrete() != Some(&[rows, 3]) {
        return Err(bad(format!(
            "its output is {fact:?}; expected 3 probabilities for each row of 9 features, as 32-bit floats"
        )));
    }
    model.into_runnable().map_err(refuse)
}

fn bad(message: String) -> Error {
    Error::BadModel { message }
}
