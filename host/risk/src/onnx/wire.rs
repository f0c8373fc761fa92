//! Builds tract's graph from a checked ONNX graph. The operators are taken apart as `tract-onnx` takes them apart, so that
//! the same file gives the same numbers.

use std::collections::BTreeMap;

use tract_core::internal::*;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::einsum::EinSum;
use tract_core::ops::logic::{Iff, comp_lt};
use tract_core::ops::math::{add, div, exp, ln, max, min, mul, sub, tanh};
use tract_core::ops::nn::{Softmax, leaky_relu, sigmoid};

use super::proto::{AttributeProto, ModelProto, NodeProto, TensorProto};

/// Version of the operators since which softmax works on one axis, and that one is the last by default.
const SOFTMAX_BY_AXIS: i64 = 13;
/// Version of the operators since which the bounds of `Clip` are inputs.
const CLIP_BY_INPUTS: i64 = 11;

/// The graph for this many rows of features.
pub fn graph(proto: &ModelProto, rows: usize) -> TractResult<TypedModel> {
    let graph = proto.graph.as_ref().context("it has no graph")?;
    let [input] = &graph.input[..] else { bail!("it has {} inputs; expected one", graph.input.len()) };
    let [output] = &graph.output[..] else { bail!("it has {} outputs; expected one", graph.output.len()) };
    let standard = proto.opset_import.iter().find(|set| set.domain.is_empty());
    let mut wiring =
        Wiring { model: TypedModel::default(), outlets: BTreeMap::new(), opset: standard.map_or(1, |set| set.version) };
    let source = wiring.model.add_source(&input.name, f32::fact([rows, 9]))?;
    wiring.outlets.insert(&input.name, source);
    for constant in &graph.initializer {
        let outlet = wiring.model.add_const(&constant.name, tensor(constant)?)?;
        wiring.outlets.insert(&constant.name, outlet);
    }
    for node in &graph.node {
        let (Some(name), true) = (node.output.first(), node.output.len() == 1) else {
            bail!("{:?} has {} outputs; expected one", node.op_type, node.output.len());
        };
        let outlet = wiring.node(name, node).with_context(|| format!("{:?}, which gives {name:?}", node.op_type))?;
        wiring.outlets.insert(name, outlet);
    }
    let last = *wiring.outlets.get(output.name.as_str()).context("its output is given by nothing")?;
    wiring.model.select_output_outlets(&[last])?;
    Ok(wiring.model)
}

struct Wiring<'a> {
    model: TypedModel,
    outlets: BTreeMap<&'a str, OutletId>,
    /// Version of the operators.
    opset: i64,
}

impl Wiring<'_> {
    fn node(&mut self, name: &str, node: &NodeProto) -> TractResult<OutletId> {
        let one = |wiring: &Self| wiring.input(node, 0);
        match node.op_type.as_str() {
            "Add" => self.binary(name, node, add()),
            "Sub" => self.binary(name, node, sub()),
            "Mul" => self.binary(name, node, mul()),
            "Div" => self.binary(name, node, div()),
            "Max" => self.of_all(name, node, &max),
            "Min" => self.of_all(name, node, &min),
            "Identity" => one(self),
            "Constant" => self.model.add_const(name, constant(node)?),
            "Relu" => {
                let zero = self.scalar(name, "zero", 0.0, one(self)?)?;
                self.wire(name, max(), &[one(self)?, zero])
            }
            "LeakyRelu" => self.wire(name, leaky_relu(float(node, "alpha").unwrap_or(0.01)), &[one(self)?]),
            "Sigmoid" => self.wire(name, sigmoid(), &[one(self)?]),
            "Tanh" => self.wire(name, tanh(), &[one(self)?]),
            "Elu" => self.elu(name, one(self)?, float(node, "alpha").unwrap_or(1.0)),
            "Softplus" => {
                let input = one(self)?;
                let unit = self.scalar(name, "one", 1.0, input)?;
                let power = self.wire(&format!("{name}.exp"), exp(), &[input])?;
                let sum = self.wire(&format!("{name}.plus_one"), add(), &[power, unit])?;
                self.wire(name, ln(), &[sum])
            }
            "Softmax" => self.softmax(name, node),
            "LogSoftmax" => {
                let softmax = self.softmax(&format!("{name}.softmax"), node)?;
                self.wire(name, ln(), &[softmax])
            }
            "Clip" => self.clip(name, node),
            "Gemm" => self.gemm(name, node),
            "MatMul" => self.mat_mul(name, node),
            other => bail!("the operator {other:?} is not served"),
        }
    }

    /// An input of an operator that must be there.
    fn input(&self, node: &NodeProto, place: usize) -> TractResult<OutletId> {
        self.optional(node, place)?.with_context(|| format!("its input {place} is missing"))
    }

    /// An input of an operator; none where it is left out, or its name is empty.
    fn optional(&self, node: &NodeProto, place: usize) -> TractResult<Option<OutletId>> {
        let Some(name) = node.input.get(place).filter(|name| !name.is_empty()) else { return Ok(None) };
        let outlet = self.outlets.get(name.as_str()).with_context(|| format!("nothing gives {name:?}"))?;
        Ok(Some(*outlet))
    }

    fn wire(&mut self, name: &str, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> TractResult<OutletId> {
        only(self.model.wire_node(name, op, inputs)?)
    }

    fn binary(&mut self, name: &str, node: &NodeProto, op: impl Into<Box<dyn TypedOp>>) -> TractResult<OutletId> {
        let inputs = [self.input(node, 0)?, self.input(node, 1)?];
        only(wire_with_rank_broadcast(name, &mut self.model, op, &inputs)?)
    }

    /// An operator over any number of inputs, two at a time.
    fn of_all(&mut self, name: &str, node: &NodeProto, op: &dyn Fn() -> TypedBinOp) -> TractResult<OutletId> {
        let mut so_far = self.input(node, 0)?;
        for place in 1..node.input.len() {
            let inputs = [so_far, self.input(node, place)?];
            so_far = only(wire_with_rank_broadcast(format!("{name}.{place}"), &mut self.model, op(), &inputs)?)?;
        }
        Ok(so_far)
    }

    /// A constant of the rank of an outlet, with all sides 1.
    fn scalar(&mut self, name: &str, what: &str, value: f32, like: OutletId) -> TractResult<OutletId> {
        let rank = self.model.outlet_fact(like)?.rank();
        self.model.add_const(format!("{name}.{what}"), tensor0(value).broadcast_into_rank(rank)?)
    }

    fn elu(&mut self, name: &str, input: OutletId, alpha: f32) -> TractResult<OutletId> {
        let zero = self.scalar(name, "zero", 0.0, input)?;
        let one = self.scalar(name, "one", 1.0, input)?;
        let alpha = self.scalar(name, "alpha", alpha, input)?;
        let power = self.wire(&format!("{name}.exp"), exp(), &[input])?;
        let less = self.wire(&format!("{name}.minus_one"), sub(), &[power, one])?;
        let negative = self.wire(&format!("{name}.mul_alpha"), mul(), &[alpha, less])?;
        let is_positive = self.wire(&format!("{name}.test"), TypedBinOp(comp_lt(), None), &[zero, input])?;
        self.wire(name, Iff, &[is_positive, input, negative])
    }

    fn softmax(&mut self, name: &str, node: &NodeProto) -> TractResult<OutletId> {
        let input = self.input(node, 0)?;
        let rank = self.model.outlet_fact(input)?.rank();
        let is_by_axis = self.opset >= SOFTMAX_BY_AXIS;
        let axis = int(node, "axis").unwrap_or(if is_by_axis { -1 } else { 1 });
        let axis = usize::try_from(if axis < 0 { axis.saturating_add(rank as i64) } else { axis });
        let Some(axis) = axis.ok().filter(|axis| *axis < rank) else { bail!("its axis is out of range") };
        let axes = if is_by_axis { tvec![axis] } else { (axis..rank).collect() };
        self.wire(name, Softmax { axes, ..Softmax::default() }, &[input])
    }

    fn clip(&mut self, name: &str, node: &NodeProto) -> TractResult<OutletId> {
        let mut value = self.input(node, 0)?;
        let (least, most) = if self.opset >= CLIP_BY_INPUTS {
            (self.optional(node, 1)?, self.optional(node, 2)?)
        } else {
            let mut bound = |what: &str| {
                float(node, what).map(|bound| self.scalar(name, &format!("{what}.bound"), bound, value)).transpose()
            };
            (bound("min")?, bound("max")?)
        };
        if let Some(least) = least {
            value = only(wire_with_rank_broadcast(format!("{name}.low"), &mut self.model, max(), &[value, least])?)?;
        }
        if let Some(most) = most {
            value = only(wire_with_rank_broadcast(format!("{name}.high"), &mut self.model, min(), &[value, most])?)?;
        }
        Ok(value)
    }

    fn gemm(&mut self, name: &str, node: &NodeProto) -> TractResult<OutletId> {
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let flag = |what: &str| int(node, what).is_some_and(|value| value != 0);
        let (trans_a, trans_b) = (flag("transA"), flag("transB"));
        let (sides_a, sides_b) = (self.sides(a)?, self.sides(b)?);
        let ([rows_a, cols_a], [rows_b, cols_b]) = (&sides_a[..], &sides_b[..]) else {
            bail!("it takes matrices; it has {sides_a:?} and {sides_b:?}");
        };
        let inner = (if trans_a { rows_a } else { cols_a }, if trans_b { cols_b } else { rows_b });
        ensure!(inner.0 == inner.1, "{sides_a:?} and {sides_b:?} cannot be multiplied");
        let axes = AxesMapping::for_numpy_matmul(2, trans_a, trans_b, false)?;
        let mut product = self.wire(&format!("{name}.ab"), EinSum::new(axes, f32::datum_type()), &[a, b])?;
        let (alpha, beta) = (float(node, "alpha").unwrap_or(1.0), float(node, "beta").unwrap_or(1.0));
        if alpha != 1.0 {
            let alpha = self.scalar(name, "alpha", alpha, product)?;
            product = self.wire(&format!("{name}.alpha_ab"), mul(), &[alpha, product])?;
        }
        let Some(c) = self.optional(node, 2)?.filter(|_| beta != 0.0) else { return Ok(product) };
        let beta = self.scalar(name, "beta", beta, product)?;
        let (scaled, sum) = (format!("{name}.beta_c"), name);
        let scaled = only(wire_with_rank_broadcast(scaled, &mut self.model, mul(), &[beta, c])?)?;
        self.wire(sum, add(), &[product, scaled])
    }

    fn mat_mul(&mut self, name: &str, node: &NodeProto) -> TractResult<OutletId> {
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let (sides_a, sides_b) = (self.sides(a)?, self.sides(b)?);
        let axes: AxesMapping = match (&sides_a[..], &sides_b[..]) {
            ([.., k], [other, _]) | ([.., k], [other]) if k != other => {
                bail!("{sides_a:?} and {sides_b:?} cannot be multiplied")
            }
            ([_], [_, _]) => "k,kn->n".parse()?,
            ([_, _], [_]) => "mk,k->m".parse()?,
            ([_, _], [_, _]) => "mk,kn->mn".parse()?,
            _ => bail!("it takes matrices; it has {sides_a:?} and {sides_b:?}"),
        };
        self.wire(name, EinSum::new(axes, f32::datum_type()), &[a, b])
    }

    fn sides(&self, outlet: OutletId) -> TractResult<Vec<usize>> {
        let shape = &self.model.outlet_fact(outlet)?.shape;
        Ok(shape.as_concrete().context("a side is not known")?.to_vec())
    }
}

/// The outlet of an operator that has one.
fn only(outlets: TVec<OutletId>) -> TractResult<OutletId> {
    outlets.first().copied().context("the operator has no output")
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

fn float(node: &NodeProto, name: &str) -> Option<f32> {
    attribute(node, name).map(|attribute| attribute.f)
}

fn int(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}

/// The value of a `Constant`.
fn constant(node: &NodeProto) -> TractResult<Tensor> {
    if let Some(value) = attribute(node, "value").and_then(|attribute| attribute.t.as_ref()) {
        return tensor(value);
    }
    if let Some(values) = attribute(node, "value_floats") {
        return Ok(tensor1(&values.floats));
    }
    Ok(tensor0(float(node, "value_float").context("it has no value")?))
}

fn tensor(proto: &TensorProto) -> TractResult<Tensor> {
    let sides: Vec<usize> = proto.dims.iter().map(|side| usize::try_from(*side)).collect::<Result<_, _>>()?;
    let (values, rest) = proto.raw_data.as_chunks::<4>();
    let values: Vec<f32> = match proto.raw_data.is_empty() {
        true => proto.float_data.clone(),
        false => values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    };
    if !rest.is_empty() || values.len() != sides.iter().product::<usize>() {
        bail!("the constant {:?} holds {} values, and has the sides {sides:?}", proto.name, values.len());
    }
    Tensor::from_shape(&sides, &values)
}
