//! A model that is ready to predict.

use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};

use fusebox_core::Digest;
use fusebox_core::risk::{Features, Prediction, Probabilities};
use parking_lot::Mutex;
use tract_core::prelude::*;

use crate::metadata::MAX_METADATA_BYTES;
use crate::onnx::Ending;
use crate::onnx::proto::ModelProto;
use crate::{Error, Metadata, onnx};

/// Largest ONNX file, in bytes.
pub const MAX_MODEL_BYTES: u64 = 4 * 1024 * 1024;
/// Rows that are predicted at once: enough that the fixed cost of a run of the graph does not count, and few enough
/// that intermediate results stay in the nearest cache.
pub(crate) const BLOCK: usize = 64;
/// Digits behind the point that are kept of probabilities: processors differ in the seventh.
const KEPT: f64 = 1e6;
/// Most difference of the sum of probabilities from 1.
const SUM_TOLERANCE: f32 = 1e-3;

/// The model that comes with the host.
const EMBEDDED: &[u8] = include_bytes!("../../../models/risk.onnx");
/// Metadata of the embedded model.
const EMBEDDED_METADATA: &[u8] = include_bytes!("../../../models/risk.json");

/// A model with its metadata. It can be called from any thread; calls wait for one another.
pub struct Model {
    digest: Digest,
    metadata: Metadata,
    proto: ModelProto,
    ending: Ending,
    single: Mutex<TypedSimpleState>,
    /// For many at once; made when it is first needed.
    block: OnceLock<Mutex<TypedSimpleState>>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Model {
    /// The model that comes with the host. It is made ready once for the whole process, which takes some milliseconds.
    ///
    /// # Errors
    /// Never in a build that passes its tests.
    pub fn embedded() -> Result<Arc<Self>, Error> {
        static MODEL: LazyLock<Result<Arc<Model>, String>> = LazyLock::new(|| {
            Model::from_bytes(EMBEDDED, EMBEDDED_METADATA).map(Arc::new).map_err(|error| error.to_string())
        });
        MODEL.clone().map_err(|message| Error::BadModel { message })
    }

    /// A model from an ONNX file, with its metadata from the file beside it with the ending `json`.
    ///
    /// # Errors
    /// When a file cannot be read or is too large, the model is not the one that `sha256` names, or cannot be used.
    pub fn open(path: &Path, sha256: Option<&str>) -> Result<Self, Error> {
        let bytes = read("the model", path, MAX_MODEL_BYTES)?;
        let is = Digest::of(&bytes).to_string();
        if let Some(expected) = sha256.filter(|expected| !expected.eq_ignore_ascii_case(&is)) {
            return Err(Error::WrongDigest { is, by: "the policy", expected: expected.to_owned() });
        }
        let metadata = read("the model's metadata", &path.with_extension("json"), MAX_METADATA_BYTES as u64)?;
        Self::from_bytes(&bytes, &metadata)
    }

    /// A model from an ONNX file and its metadata.
    ///
    /// # Errors
    /// When it is too large, its digest differs from that in the metadata, it has other inputs or outputs than nine
    /// features and three probabilities, uses operators that are not supported, or gives invalid answers for its own
    /// background.
    pub fn from_bytes(onnx: &[u8], metadata: &[u8]) -> Result<Self, Error> {
        if onnx.len() as u64 > MAX_MODEL_BYTES {
            return Err(Error::TooLarge { what: "the model", size: onnx.len() as u64, limit: MAX_MODEL_BYTES });
        }
        let metadata = Metadata::parse(metadata)?;
        let digest = Digest::of(onnx);
        if !metadata.model_sha256.eq_ignore_ascii_case(&digest.to_string()) {
            let (is, expected) = (digest.to_string(), metadata.model_sha256);
            return Err(Error::WrongDigest { is, by: "its metadata", expected });
        }
        let (proto, ending) = onnx::read(onnx)?;
        let single = Mutex::new(state(&proto, 1)?);
        let model = Self { digest, metadata, proto, ending, single, block: OnceLock::new() };
        for row in &model.metadata.background {
            #[expect(clippy::cast_possible_truncation, reason = "a model's input is a 32-bit float")]
            model.run_one(row.map(|value| value as f32))?;
        }
        Ok(model)
    }

    /// SHA-256 of its ONNX file.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Metadata of the model.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Predicts the risk of one plan.
    ///
    /// # Errors
    /// When a feature is out of its range, which the error names, or the model gives an invalid answer.
    pub fn predict(&self, features: &Features) -> Result<Prediction, Error> {
        features.check()?;
        Ok(self.prediction(features, self.run_one(features.inputs())?))
    }

    /// Predicts the risk of many plans, faster than one by one.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), for the first plan of which that is true.
    pub fn predict_all(&self, features: &[Features]) -> Result<Vec<Prediction>, Error> {
        features.iter().try_for_each(Features::check)?;
        let inputs: Vec<[f32; 9]> = features.iter().map(Features::inputs).collect();
        let answers = self.run_all(&inputs)?;
        Ok(features.iter().zip(answers).map(|(features, answer)| self.prediction(features, answer)).collect())
    }

    /// The model's answers to rows of inputs.
    ///
    /// # Errors
    /// When an answer is invalid.
    pub fn run_all(&self, inputs: &[[f32; 9]]) -> Result<Vec<[f32; 3]>, Error> {
        let mut answers = Vec::with_capacity(inputs.len());
        let blocks = inputs.chunks(BLOCK);
        for block in blocks {
            if block.len() < BLOCK / 8 {
                for input in block {
                    answers.push(self.run_one(*input)?);
                }
                continue;
            }
            let mut padded = block.as_flattened().to_vec();
            padded.resize(BLOCK * 9, 0.0);
            let mut state = self.block()?.lock();
            run(&mut state, &padded, |answer| {
                for row in answer.as_chunks().0.iter().take(block.len()) {
                    answers.push(self.answer(row)?);
                }
                Ok(())
            })?;
        }
        Ok(answers)
    }

    fn run_one(&self, input: [f32; 9]) -> Result<[f32; 3], Error> {
        let mut state = self.single.lock();
        let mut row = None;
        run(&mut state, &input, |answer| {
            row = answer.first_chunk().copied();
            Ok(())
        })?;
        self.answer(&row.unwrap_or([f32::NAN; 3]))
    }

    /// The probabilities that a row of the graph's output stands for.
    fn answer(&self, row: &[f32; 3]) -> Result<[f32; 3], Error> {
        match self.ending {
            Ending::Probabilities => checked(row),
            Ending::Logits => checked(&softmax(row)),
        }
    }

    fn block(&self) -> Result<&Mutex<TypedSimpleState>, Error> {
        if let Some(block) = self.block.get() {
            return Ok(block);
        }
        let made = Mutex::new(state(&self.proto, BLOCK)?);
        Ok(self.block.get_or_init(|| made))
    }

    fn prediction(&self, features: &Features, answer: [f32; 3]) -> Prediction {
        let [low, medium, high] = answer.map(|value| (f64::from(value) * KEPT).round() / KEPT);
        let probabilities = Probabilities { low, medium, high };
        Prediction {
            model: self.digest,
            level: probabilities.level(),
            score: high,
            probabilities,
            out_of_distribution: self.out_of_distribution(features),
        }
    }

    /// Names of the features outside of the model's training data.
    fn out_of_distribution(&self, features: &Features) -> Vec<String> {
        #[expect(clippy::cast_precision_loss, reason = "features are below 2^53")]
        let is_far = |value: u64, least: f64, most: f64| !(least..=most).contains(&(value as f64));
        let trained = features.numbers().into_iter().zip(&self.metadata.features);
        let far = trained.filter(|(value, trained)| is_far(*value, trained.least, trained.most));
        far.map(|(_, trained)| trained.name.clone()).collect()
    }
}

fn state(proto: &ModelProto, rows: usize) -> Result<TypedSimpleState, Error> {
    onnx::plan(proto, rows)?.spawn().map_err(|error| Error::BadModel { message: format!("{error:#}") })
}

fn run(
    state: &mut TypedSimpleState,
    input: &[f32],
    mut take: impl FnMut(&[f32]) -> Result<(), Error>,
) -> Result<(), Error> {
    let nonsense = |error: TractError| Error::Nonsense { message: format!("{error:#}") };
    let tensor = Tensor::from_shape(&[input.len() / 9, 9], input).map_err(nonsense)?;
    let answer = onnx::guarded(|| state.run(tvec![tensor.into_tvalue()]).map_err(nonsense))?;
    let answer = answer.first().ok_or_else(|| Error::Nonsense { message: "no answer".to_owned() })?;
    let plain = answer.try_as_plain_ram().map_err(nonsense)?;
    take(plain.as_slice::<f32>().map_err(nonsense)?)
}

/// Probabilities from logits. The largest is taken off first, so that nothing overflows.
fn softmax(logits: &[f32; 3]) -> [f32; 3] {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers = logits.map(|logit| (logit - most).exp());
    let sum: f32 = powers.iter().sum();
    powers.map(|power| power / sum)
}

fn checked(row: &[f32; 3]) -> Result<[f32; 3], Error> {
    let sum: f32 = row.iter().sum();
    if row.iter().all(|value| (0.0..=1.0).contains(value)) && (sum - 1.0).abs() <= SUM_TOLERANCE {
        return Ok(*row);
    }
    Err(Error::Nonsense { message: format!("probabilities {row:?}, which do not sum to 1") })
}

fn read(what: &'static str, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.to_path_buf(), source };
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(failed(std::io::Error::other("it is no regular file")));
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = found.len();
    if size > limit {
        return Err(Error::TooLarge { what, size, limit });
    }
    let mut bytes = Vec::new();
    // The file may grow meanwhile.
    std::io::Read::read_to_end(&mut std::io::Read::take(file, limit + 1), &mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { what, size: bytes.len() as u64, limit });
    }
    Ok(bytes)
}
