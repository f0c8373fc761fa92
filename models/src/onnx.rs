//! Writing a network as ONNX.

use prost::Message as _;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::{self, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
};

use crate::network::{Dense, Network};

/// The operators' version.
pub const OPSET: i64 = 13;
/// The version of the file format that belongs to it.
const IR_VERSION: i64 = 7;
/// ONNX's number for 32-bit floats.
const FLOAT: i32 = 1;
/// ONNX's number for attributes that are integers.
const INT: i32 = 2;

/// A network as an ONNX file: `features` [rows, 9] to `probabilities` [rows, 3]. Scaler and temperature are folded into the first
/// and last layer, so that the graph has nothing but dense layers, ReLU and a softmax.
#[must_use]
pub fn bytes(network: &Network) -> Vec<u8> {
    let layers = folded(network);
    let mut graph = GraphProto {
        name: "risk".to_owned(),
        input: vec![value("features", 9)],
        output: vec![value("probabilities", 3)],
        ..GraphProto::default()
    };
    let mut from = "features".to_owned();
    for (place, layer) in layers.iter().enumerate() {
        let name = |what: &str| format!("{what}_{place}");
        graph.initializer.push(tensor(&name("weights"), &[layer.inputs, layer.outputs], &layer.weights));
        graph.initializer.push(tensor(&name("bias"), &[layer.outputs], &layer.bias));
        graph.node.push(node("Gemm", &[&from, &name("weights"), &name("bias")], &name("dense"), Vec::new()));
        let is_last = place + 1 == layers.len();
        from = if is_last { "probabilities".to_owned() } else { name("relu") };
        graph.node.push(if is_last {
            let axis = AttributeProto { name: "axis".to_owned(), r#type: INT, i: -1, ..AttributeProto::default() };
            node("Softmax", &[&name("dense")], &from, vec![axis])
        } else {
            node("Relu", &[&name("dense")], &from, Vec::new())
        });
    }
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        producer_name: "fusebox-train".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph),
        ..ModelProto::default()
    };
    model.encode_to_vec()
}

/// The layers with the scaler in the first and the temperature in the last.
#[expect(clippy::cast_possible_truncation, reason = "networks compute in 32 bits")]
fn folded(network: &Network) -> Vec<Dense> {
    let mut layers = network.layers.clone();
    if let Some(first) = layers.first_mut() {
        let mut bias: Vec<f64> = first.bias.iter().map(|value| f64::from(*value)).collect();
        let rows = first.weights.chunks_exact_mut(first.outputs);
        for ((row, mean), deviation) in rows.zip(network.scaler.mean).zip(network.scaler.deviation) {
            for (weight, bias) in row.iter_mut().zip(&mut bias) {
                let scaled = f64::from(*weight) / deviation;
                *bias -= scaled * mean;
                *weight = scaled as f32;
            }
        }
        first.bias = bias.into_iter().map(|value| value as f32).collect();
    }
    if let Some(last) = layers.last_mut() {
        for value in last.weights.iter_mut().chain(&mut last.bias) {
            *value = (f64::from(*value) / network.temperature) as f32;
        }
    }
    layers
}

fn node(operator: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        name: output.to_owned(),
        op_type: operator.to_owned(),
        attribute,
        ..NodeProto::default()
    }
}

#[expect(clippy::cast_possible_wrap, reason = "layers are small")]
fn tensor(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.iter().map(|dim| *dim as i64).collect(),
        data_type: FLOAT,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

/// A value of so many numbers for each row; how many rows is left open.
fn value(name: &str, width: i64) -> ValueInfoProto {
    let dim = |value| Dimension { value: Some(value), ..Dimension::default() };
    let dims = vec![dim(dimension::Value::DimParam("rows".to_owned())), dim(dimension::Value::DimValue(width))];
    let tensor = type_proto::Tensor { elem_type: FLOAT, shape: Some(TensorShapeProto { dim: dims }) };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { value: Some(Value::TensorType(tensor)), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}
