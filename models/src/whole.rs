//! The whole: data, training, calibration, model, reports.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fusebox_core::Digest;
use fusebox_core::risk::RiskLevel;
use fusebox_risk::{Metadata, Model};
use indicatif::{ProgressBar, ProgressStyle};

use crate::background::background;
use crate::data::{self, Data, Sample, Source};
use crate::network::{Network, Stopping, train};
use crate::report::{LogReport, Report, mixed, of_source, report, trained_features, wrong};
use crate::trained::Trained;
use crate::{bpi, card, onnx, plots, synthetic};

/// Condition for the end of training.
const STOPPING: Stopping = Stopping { epochs: 30, patience: 10 };
/// Of so many drawn plans, one is added to the hard set.
const PER_HARD: usize = 12;
/// Most difference between the exported file and the network's own forward pass.
const EXPORT_TOLERANCE: f64 = 1e-5;

/// Data to train on, and folder for the results.
#[derive(Debug, Clone)]
pub struct Options {
    /// Path of an event log.
    pub bpi: PathBuf,
    /// Runs with their outcomes.
    pub outcomes: Option<String>,
    /// Folder for all results.
    pub out: PathBuf,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Number of plans that are drawn.
    pub count: usize,
    /// Words in the names of risky activities.
    pub high_risk: Vec<String>,
}

/// Trains the model and writes all results.
///
/// # Errors
/// When the data cannot be read, the folder cannot be written, or the exported file predicts otherwise than the
/// network.
pub fn all(options: &Options) -> Result<Report> {
    let reports = options.out.join("reports");
    fs::create_dir_all(&reports).with_context(|| format!("cannot make the folder {}", reports.display()))?;
    let bar = ProgressBar::new(STOPPING.epochs as u64 + 2).with_style(
        ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.enable_steady_tick(Duration::from_millis(100));
    let trained = trained(options, &bar)?;
    bar.set_message("drawing");
    write(&options.out.join("risk.onnx"), &trained.onnx)?;
    write(&options.out.join("risk.json"), &trained.metadata)?;
    write(&options.out.join("README.md"), card::card(&trained, options.seed).as_bytes())?;
    write(&reports.join("wrong.csv"), wrong(&trained.network, &trained.data.test)?.as_bytes())?;
    plots::all(&trained, &reports)?;
    bar.finish_and_clear();
    Ok(trained.report)
}

/// Reads and draws data and trains on them.
///
/// # Errors
/// When the data cannot be read, or the exported file predicts otherwise than the network.
pub fn trained(options: &Options, bar: &ProgressBar) -> Result<Trained> {
    let seed = options.seed;
    bar.set_message("reading the log");
    let log = bpi::read(&options.bpi, &bpi::words(&options.high_risk), |traces| {
        if traces.is_multiple_of(1000) {
            bar.set_message(format!("reading the log: {traces} traces"));
        }
    })?;
    let mut data = Data::default();
    data.add("bpi", &log.samples, seed);
    bar.set_message("drawing plans");
    data.add("synthetic", &synthetic::draw(options.count, seed), seed);
    data.add("boundary", &synthetic::boundary(options.count, seed), seed);
    data.add("hard", &synthetic::hard(options.count / PER_HARD, seed), seed);
    if let Some(outcomes) = &options.outcomes {
        data.add("outcomes", &data::outcomes(outcomes)?, seed);
    }
    bar.inc(1);
    bar.set_message("training");
    let (mut network, epochs) = train(&data.train, &data.validate, STOPPING, seed, |epoch, now| {
        bar.set_position(epoch as u64 + 1);
        bar.set_message(format!("training: loss {:.4}, accuracy {:.4}", now.validate_loss, now.validate_accuracy));
    })?;
    network.calibrate(&data.validate)?;
    bar.set_message("reporting");
    let log = LogReport { traces: log.traces, events: log.events, left_out: log.left_out };
    let report = report(&network, epochs, &data, log, seed)?;
    let onnx = onnx::bytes(&network);
    let representative: Vec<Sample> =
        data.train.iter().filter(|sample| matches!(sample.source, Source::Synthetic | Source::Bpi)).copied().collect();
    let metadata = Metadata {
        format: 1,
        model_sha256: Digest::of(&onnx).to_string(),
        opset: onnx::OPSET,
        features: trained_features(&representative),
        levels: RiskLevel::ALL.to_vec(),
        temperature: network.temperature,
        background: background(&representative, &network.scaler),
        seed,
        report: serde_json::to_value(&report)?,
    };
    let metadata = format!("{}\n", serde_json::to_string_pretty(&metadata)?).into_bytes();
    says_the_same(&network, &onnx, &metadata, &mixed(&data.test))?;
    says_the_same(&network, &onnx, &metadata, &of_source(&data.test, Source::Hard))?;
    Ok(Trained { network, onnx, metadata, report, data })
}

/// Whether the exported file, run by the host's code, predicts the same as the network's own forward pass.
fn says_the_same(network: &Network, onnx: &[u8], metadata: &[u8], samples: &[Sample]) -> Result<()> {
    let model = Model::from_bytes(onnx, metadata)?;
    let inputs: Vec<[f32; 9]> = samples.iter().map(|sample| sample.features.inputs()).collect();
    let exported = model.run_all(&inputs)?;
    for ((own, exported), sample) in network.predict(samples)?.iter().zip(&exported).zip(samples) {
        let far =
            own.iter().zip(exported).map(|(own, exported)| (own - f64::from(*exported)).abs()).fold(0.0, f64::max);
        ensure!(
            far <= EXPORT_TOLERANCE,
            "the exported file says {exported:?} of {:?}, and the network {own:?}: they differ by {far}",
            sample.features
        );
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small log of our own: cases of 2 to 20 activities.
    pub(crate) fn log() -> String {
        let mut text = "<log xes.version='1.0'>".to_owned();
        for case in 0..120_u32 {
            text.push_str("<trace>");
            for event in 0..2 + case % 19 {
                let name = ["submit", "check", "approve", "call"][(event * (case + 1)) as usize % 4];
                let (minute, second) = (event, case % 60);
                text.push_str(&format!(
                    "<event><string key='concept:name' value='{name}'/>\
                     <string key='lifecycle:transition' value='COMPLETE'/>\
                     <date key='time:timestamp' value='2026-01-01T00:{minute:02}:{second:02}Z'/></event>"
                ));
            }
            text.push_str("</trace>");
        }
        text + "</log>"
    }

    #[test]
    fn the_whole_writes_a_model_that_the_host_takes_and_repeats() {
        let folder = tempfile::tempdir().unwrap();
        let bpi = folder.path().join("log.xes");
        fs::write(&bpi, log()).unwrap();
        let options = |out: &str| Options {
            bpi: bpi.clone(),
            outcomes: None,
            out: folder.path().join(out),
            seed: 3,
            count: 1200,
            high_risk: Vec::new(),
        };
        let report = all(&options("one")).unwrap();
        assert!(report.metrics["mixed"].accuracy > 0.8, "{:?}", report.metrics["mixed"]);
        let model = Model::open(&folder.path().join("one/risk.onnx"), None).unwrap();
        assert_eq!(model.metadata().background.len(), crate::background::ROWS);
        all(&options("two")).unwrap();
        for file in ["risk.onnx", "risk.json", "README.md", "reports/confusion.svg"] {
            let read = |out: &str| fs::read(folder.path().join(out).join(file)).unwrap();
            assert_eq!(read("one"), read("two"), "{file}");
        }
    }
}
