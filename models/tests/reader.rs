//! The host reads ONNX files by itself, with tract's core. It gives the same numbers as tract with its own reader, bit for
//! bit, for every operator that it serves.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use fusebox_core::Digest;
use fusebox_risk::Model;
use prost::Message as _;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};
use tract_onnx::prelude::*;

const ONNX: &[u8] = include_bytes!("../risk.onnx");
const METADATA: &str = include_str!("../risk.json");
/// Rows that are compared: one by one, and in a block.
const ROWS: usize = 64;

/// What stands in the middle of a graph: operator, inputs behind the first, attributes, constants.
#[derive(Default)]
struct Case {
    op: &'static str,
    others: Vec<&'static str>,
    attributes: Vec<AttributeProto>,
    constants: Vec<TensorProto>,
    opset: i64,
}

fn tensor(name: &str, sides: &[i64]) -> TensorProto {
    let count: i64 = sides.iter().product();
    let values = (0..count).map(|place| ((place * 7919 % 23) as f32 - 11.0) / 9.0);
    TensorProto {
        name: name.to_owned(),
        dims: sides.to_vec(),
        data_type: 1,
        raw_data: values.flat_map(f32::to_le_bytes).collect(),
        ..TensorProto::default()
    }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: 1, f, ..AttributeProto::default() }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: 2, i, ..AttributeProto::default() }
}

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op.to_owned(),
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: output.to_owned(),
        attribute,
        ..NodeProto::default()
    }
}

/// The operator between a layer that makes its input small and one that gives three probabilities.
fn graph(case: &Case) -> ModelProto {
    let mut proto = ModelProto::decode(ONNX).unwrap();
    proto.opset_import = vec![OperatorSetIdProto { domain: String::new(), version: case.opset }];
    let constants = [tensor("first", &[9, 9]), tensor("scale", &[1]), tensor("last", &[9, 3]), tensor("bias", &[3])];
    let inputs: Vec<&str> = ["small"].into_iter().chain(case.others.iter().copied()).collect();
    let old = proto.graph.take().unwrap();
    proto.graph = Some(GraphProto {
        node: vec![
            node("Tanh", &["features"], "bounded", vec![]),
            node("Gemm", &["bounded", "first"], "small", vec![float("alpha", 0.3)]),
            node(case.op, &inputs, "made", case.attributes.clone()),
            node("Gemm", &["made", "last", "bias"], "logits", vec![]),
            node("Softmax", &["logits"], "softmax", vec![int("axis", 1)]),
            node("Identity", &["softmax"], "probabilities", vec![]),
        ],
        initializer: constants.into_iter().chain(case.constants.iter().cloned()).collect(),
        name: old.name,
        input: old.input,
        output: old.output,
        ..GraphProto::default()
    });
    proto
}

/// Answers of tract with its own reader.
fn by_tract(bytes: &[u8], rows: &[[f32; 9]]) -> Vec<[f32; 3]> {
    let mut model = tract_onnx::onnx().model_for_read(&mut &*bytes).unwrap();
    model.set_input_fact(0, f32::fact([rows.len(), 9]).into()).unwrap();
    let mut state = model.into_optimized().unwrap().into_runnable().unwrap().spawn().unwrap();
    let input = Tensor::from_shape(&[rows.len(), 9], rows.as_flattened()).unwrap();
    let answer = state.run(tvec![input.into_tvalue()]).unwrap();
    answer[0].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().as_chunks().0.to_vec()
}

fn rows() -> Vec<[f32; 9]> {
    (0..ROWS).map(|row| std::array::from_fn(|place| ((row * 31 + place * 17) % 29) as f32 / 3.0)).collect()
}

fn check(what: &str, bytes: &[u8]) {
    let metadata = METADATA.replace(&Digest::of(ONNX).to_string(), &Digest::of(bytes).to_string());
    let model = Model::from_bytes(bytes, metadata.as_bytes()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let rows = rows();
    assert_eq!(model.run_all(&rows).unwrap(), by_tract(bytes, &rows), "{what}, all at once");
    for row in &rows[..8] {
        assert_eq!(model.run_all(&[*row]).unwrap(), by_tract(bytes, &[*row]), "{what}, one by one");
    }
}

#[test]
fn every_operator_gives_the_numbers_of_tract() {
    let case = |op| Case { op, opset: 13, ..Case::default() };
    let with = |op, other: &'static str, sides: &[i64]| Case {
        others: vec![other],
        constants: vec![tensor(other, sides)],
        ..case(op)
    };
    let mut cases = vec![
        case("Identity"),
        case("Relu"),
        case("Sigmoid"),
        case("Tanh"),
        case("Softplus"),
        case("Elu"),
        case("LeakyRelu"),
        case("Softmax"),
        case("LogSoftmax"),
        case("Max"),
        Case { attributes: vec![float("alpha", 0.7)], ..case("Elu") },
        Case { attributes: vec![float("alpha", 0.2)], ..case("LeakyRelu") },
        Case { attributes: vec![int("axis", 0)], ..case("Softmax") },
        Case { attributes: vec![int("axis", -1)], ..case("LogSoftmax") },
        Case { opset: 11, ..case("Softmax") },
        Case { opset: 11, attributes: vec![int("axis", 0)], ..case("Softmax") },
        Case { opset: 10, attributes: vec![float("min", -0.2), float("max", 0.3)], ..case("Clip") },
        Case { opset: 10, attributes: vec![float("max", 0.3)], ..case("Clip") },
        with("MatMul", "square", &[9, 9]),
        with("Gemm", "square", &[9, 9]),
    ];
    for op in ["Add", "Sub", "Mul", "Div", "Max", "Min"] {
        for sides in [&[9][..], &[1, 9], &[1], &[9, 9][..0]] {
            cases.push(with(op, "other", sides));
        }
    }
    for op in ["Max", "Min"] {
        let constants = vec![tensor("one", &[9]), tensor("two", &[1, 1])];
        cases.push(Case { others: vec!["one", "two"], constants, ..case(op) });
    }
    for (trans, alpha, beta) in [(0, 1.0, 1.0), (1, 0.5, 1.0), (1, 1.0, 2.0), (0, 1.0, 0.0)] {
        let attributes = vec![int("transB", trans), float("alpha", alpha), float("beta", beta)];
        let constants = vec![tensor("square", &[9, 9]), tensor("row", &[9])];
        cases.push(Case { others: vec!["square", "row"], attributes, constants, ..case("Gemm") });
    }
    let mut bounds = |others: Vec<&'static str>| {
        let constants = vec![tensor("low", &[]), tensor("high", &[])];
        cases.push(Case { others, constants, ..case("Clip") });
    };
    bounds(vec!["low"]);
    bounds(vec!["low", "high"]);
    for case in &cases {
        let what = format!("{} of {:?}, {:?}", case.op, case.others, case.attributes);
        check(&what, &graph(case).encode_to_vec());
    }
}

#[test]
fn the_embedded_model_gives_the_numbers_of_tract_without_its_softmax() {
    let mut proto = ModelProto::decode(ONNX).unwrap();
    let model = Model::embedded().unwrap();
    let with_softmax = by_tract(ONNX, &rows());
    for (ours, theirs) in model.run_all(&rows()).unwrap().iter().zip(&with_softmax) {
        assert!(ours.iter().zip(theirs).all(|(one, other)| (one - other).abs() < 1e-6), "{ours:?} {theirs:?}");
    }
    // With something behind its softmax, the host leaves it to tract.
    let graph = proto.graph.as_mut().unwrap();
    let last = graph.node.last_mut().unwrap();
    (last.name, last.output[0]) = ("softmax".to_owned(), "softmax".to_owned());
    graph.node.push(node("Identity", &["softmax"], "probabilities", vec![]));
    check("the embedded model", &proto.encode_to_vec());
}
