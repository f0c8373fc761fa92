//! The network and its training. Random numbers are our own and seeded, and everything runs in one thread, so that the same data
//! give the same weights. Processors differ in the last bits of a sum; so training computes in 64 bits, and weights are rounded to
//! a grid after each step, where such bits are lost before they can grow.

use anyhow::{Context as _, Result, ensure};
use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use candle_nn::{loss, ops};
use fastrand::Rng;

use crate::data::Sample;
use crate::metrics::log_loss;

/// Neurons by layer: nine features, two hidden layers, three levels.
pub const LAYERS: [usize; 4] = [9, 64, 32, 3];
/// The share of the first hidden layer that is left out of each step of training.
const DROPOUT: f64 = 0.2;
/// Adam's step size.
const LEARNING_RATE: f64 = 0.001;
/// Plans of one step of training.
const BATCH: usize = 32;
/// Weights are multiples of one by this: 2^20. Up to a size of 8 they are exact in 32 bits.
const GRID: f64 = 1_048_576.0;
/// Plans that are predicted at once.
const EVAL_BATCH: usize = 4096;

/// A dense layer: weights as rows of inputs by columns of outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Weights, row by row: inputs × outputs.
    pub weights: Vec<f32>,
    /// One for each output.
    pub bias: Vec<f32>,
    /// Number of inputs.
    pub inputs: usize,
    /// Number of outputs.
    pub outputs: usize,
}

/// Scaling of features to mean 0 and deviation 1 before the first layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaler {
    /// Means of the training data.
    pub mean: [f64; 9],
    /// Standard deviations of the training data; 1 where a feature never differs.
    pub deviation: [f64; 9],
}

/// A trained network with its scaling and temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Scaling before the first layer.
    pub scaler: Scaler,
    /// The layers; between them stands ReLU, behind the last one softmax.
    pub layers: Vec<Dense>,
    /// Divisor of the last layer's outputs before the softmax.
    pub temperature: f64,
}

/// Result of one epoch of training.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Epoch {
    /// Mean cross-entropy over the training data, with dropout.
    pub train_loss: f64,
    /// Mean cross-entropy over the validation data.
    pub validate_loss: f64,
    /// Share of the validation data with the right level.
    pub validate_accuracy: f64,
}

/// Condition for the end of training.
#[derive(Debug, Clone, Copy)]
pub struct Stopping {
    /// Most epochs of a training.
    pub epochs: usize,
    /// Epochs without a lower loss over the validation data, after which it stops.
    pub patience: usize,
}

impl Scaler {
    /// The scaler of some data.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "features and counts are below 2^53")]
    pub fn of(samples: &[Sample]) -> Self {
        let count = samples.len().max(1) as f64;
        let (mut mean, mut deviation) = ([0.0; 9], [0.0; 9]);
        for sample in samples {
            for (mean, value) in mean.iter_mut().zip(sample.features.numbers()) {
                *mean += value as f64 / count;
            }
        }
        for sample in samples {
            for ((square, mean), value) in deviation.iter_mut().zip(mean).zip(sample.features.numbers()) {
                *square += (value as f64 - mean).powi(2) / count;
            }
        }
        let deviation = deviation.map(|square: f64| if square > 0.0 { square.sqrt() } else { 1.0 });
        Self { mean, deviation }
    }

    #[expect(clippy::cast_precision_loss, reason = "features are below 2^53")]
    fn scaled(&self, sample: &Sample) -> [f64; 9] {
        let mut scaled = [0.0; 9];
        let each = sample.features.numbers().into_iter().zip(self.mean).zip(self.deviation);
        for (slot, ((value, mean), deviation)) in scaled.iter_mut().zip(each) {
            *slot = (value as f64 - mean) / deviation;
        }
        scaled
    }
}

/// Trains a network. Calls `observer` at the end of each epoch.
///
/// # Errors
/// When there are no data, or a loss is not a number.
pub fn train(
    train: &[Sample],
    validate: &[Sample],
    stopping: Stopping,
    seed: u64,
    mut observer: impl FnMut(usize, &Epoch),
) -> Result<(Network, Vec<Epoch>)> {
    ensure!(train.len() >= BATCH && !validate.is_empty(), "there are too few plans to train on");
    let scaler = Scaler::of(train);
    let mut random = Rng::with_seed(seed);
    let vars = LAYERS
        .windows(2)
        .map(|pair| match pair {
            [inputs, outputs] => begin(*inputs, *outputs, &mut random),
            _ => Ok(Vec::new()),
        })
        .collect::<Result<Vec<_>>>()?
        .concat();
    let parameters = ParamsAdamW { lr: LEARNING_RATE, weight_decay: 0.0, ..ParamsAdamW::default() };
    let mut adam = AdamW::new(vars.clone(), parameters)?;
    let rows: Vec<([f64; 9], u32)> = train.iter().map(|sample| (scaler.scaled(sample), sample.label as u32)).collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let (mut epochs, mut best, mut since) = (Vec::new(), None::<(f64, Vec<Dense>)>, 0);
    for number in 1..=stopping.epochs {
        random.shuffle(&mut order);
        let (mut sum, mut batches) = (0.0, 0.0);
        for batch in order.chunks_exact(BATCH) {
            let picked = batch.iter().filter_map(|place| rows.get(*place));
            let (inputs, labels): (Vec<[f64; 9]>, Vec<u32>) = picked.copied().unzip();
            let inputs = Tensor::from_vec(inputs.concat(), (BATCH, 9), &Device::Cpu)?;
            let labels = Tensor::from_vec(labels, BATCH, &Device::Cpu)?;
            let mask = dropout(&mut random)?;
            let loss = loss::cross_entropy(&forward(&vars, &inputs, Some(&mask))?, &labels)?;
            adam.backward_step(&loss)?;
            for var in &vars {
                var.set(&((var.as_tensor() * GRID)?.round()? / GRID)?)?;
            }
            sum += loss.to_scalar::<f64>()?;
            batches += 1.0;
        }
        let layers = layers(&vars)?;
        let now = Network { scaler, layers, temperature: 1.0 };
        let said = now.predict(validate)?;
        let epoch = Epoch {
            train_loss: sum / batches,
            validate_loss: log_loss(&said, validate),
            validate_accuracy: crate::metrics::accuracy(&said, validate),
        };
        ensure!(epoch.train_loss.is_finite() && epoch.validate_loss.is_finite(), "the loss is not a number any more");
        observer(number, &epoch);
        epochs.push(epoch);
        if best.as_ref().is_none_or(|(loss, _)| epoch.validate_loss < *loss) {
            (best, since) = (Some((epoch.validate_loss, now.layers)), 0);
        } else {
            since += 1;
            if since >= stopping.patience {
                break;
            }
        }
    }
    let (_, layers) = best.context("no epoch was trained")?;
    Ok((Network { scaler, layers, temperature: 1.0 }, epochs))
}

/// Weights and bias of a layer before training: uniform within ±√(6 ÷ inputs) (He et al. 2015, "Delving Deep into Rectifiers").
#[expect(clippy::cast_precision_loss, reason = "layers are small")]
fn begin(inputs: usize, outputs: usize, random: &mut Rng) -> Result<Vec<Var>> {
    let bound = (6.0 / inputs as f64).sqrt();
    let weights: Vec<f64> = (0..inputs * outputs).map(|_| (random.f64() * 2.0 - 1.0) * bound).collect();
    let weights = Tensor::from_vec(weights, (inputs, outputs), &Device::Cpu)?;
    let bias = Tensor::zeros(outputs, DType::F64, &Device::Cpu)?;
    Ok(vec![Var::from_tensor(&weights)?, Var::from_tensor(&bias)?])
}

/// Factors for the first hidden layer: 0 for neurons that are left out, and more than 1 for the others.
fn dropout(random: &mut Rng) -> Result<Tensor> {
    let [_, width, ..] = LAYERS;
    let kept = 1.0 / (1.0 - DROPOUT);
    let mask = (0..BATCH * width).map(|_| if random.f64() < DROPOUT { 0.0 } else { kept }).collect::<Vec<f64>>();
    Ok(Tensor::from_vec(mask, (BATCH, width), &Device::Cpu)?)
}

/// The last layer's outputs, before the softmax.
fn forward(vars: &[Var], inputs: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let mut values = inputs.clone();
    let layers = vars.len() / 2;
    for (place, layer) in vars.chunks_exact(2).enumerate() {
        if let [weights, bias] = layer {
            values = values.matmul(weights)?.broadcast_add(bias)?;
        }
        if place + 1 < layers {
            values = values.relu()?;
        }
        if let (0, Some(mask)) = (place, mask) {
            values = (values * mask)?;
        }
    }
    Ok(values)
}

fn layers(vars: &[Var]) -> Result<Vec<Dense>> {
    vars.chunks_exact(2)
        .filter_map(|layer| match layer {
            [weights, bias] => Some((weights, bias)),
            _ => None,
        })
        .map(|(weights, bias)| {
            let (inputs, outputs) = weights.dims2()?;
            Ok(Dense {
                weights: weights.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?,
                bias: bias.to_dtype(DType::F32)?.to_vec1()?,
                inputs,
                outputs,
            })
        })
        .collect()
}

impl Network {
    /// The network's own forward pass: probabilities of LOW, MEDIUM and HIGH.
    ///
    /// # Errors
    /// When the weights do not fit one another.
    pub fn predict(&self, samples: &[Sample]) -> Result<Vec<[f64; 3]>> {
        let logits = self.logits(samples)?;
        self.probabilities(&logits)
    }

    /// The last layer's outputs.
    ///
    /// # Errors
    /// When the weights do not fit one another.
    pub fn logits(&self, samples: &[Sample]) -> Result<Vec<[f64; 3]>> {
        let vars = self
            .layers
            .iter()
            .flat_map(|layer| {
                let weights = Tensor::from_slice(&layer.weights, (layer.inputs, layer.outputs), &Device::Cpu);
                [weights, Tensor::from_slice(&layer.bias, layer.outputs, &Device::Cpu)]
            })
            .map(|tensor| Ok(Var::from_tensor(&tensor?.to_dtype(DType::F64)?)?))
            .collect::<Result<Vec<_>>>()?;
        let mut all = Vec::with_capacity(samples.len());
        for chunk in samples.chunks(EVAL_BATCH) {
            let inputs: Vec<[f64; 9]> = chunk.iter().map(|sample| self.scaler.scaled(sample)).collect();
            let inputs = Tensor::from_vec(inputs.concat(), (chunk.len(), 9), &Device::Cpu)?;
            let flat: Vec<f64> = forward(&vars, &inputs, None)?.flatten_all()?.to_vec1()?;
            all.extend_from_slice(flat.as_chunks().0);
        }
        Ok(all)
    }

    /// Probabilities from the last layer's outputs.
    ///
    /// # Errors
    /// Never for three outputs a row.
    pub fn probabilities(&self, logits: &[[f64; 3]]) -> Result<Vec<[f64; 3]>> {
        let logits = Tensor::from_slice(logits.as_flattened(), (logits.len(), 3), &Device::Cpu)?;
        let flat: Vec<f64> = ops::softmax(&(logits / self.temperature)?, D::Minus1)?.flatten_all()?.to_vec1()?;
        Ok(flat.as_chunks().0.to_vec())
    }

    /// Finds the temperature with which probabilities fit these data best (Guo et al. 2017): a search by golden section for the
    /// least log loss.
    ///
    /// # Errors
    /// When the weights do not fit one another.
    pub fn calibrate(&mut self, samples: &[Sample]) -> Result<()> {
        let logits = self.logits(samples)?;
        let loss = |temperature: f64| -> Result<f64> {
            let at = Self { temperature, ..self.clone() };
            Ok(log_loss(&at.probabilities(&logits)?, samples))
        };
        let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
        // Temperatures are searched by their logarithms: from 1/20 to 20.
        let (mut low, mut high) = (-(20.0_f64.ln()), 20.0_f64.ln());
        for _ in 0..40 {
            let (one, other) = (high - golden * (high - low), low + golden * (high - low));
            if loss(one.exp())? <= loss(other.exp())? { high = other } else { low = one }
        }
        // Rounded, so that the last bits of a loss do not decide.
        self.temperature = ((((low + high) / 2.0).exp()) * 1e4).round() / 1e4;
        Ok(())
    }
}
