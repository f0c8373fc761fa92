//! Plots of reports.

use std::path::Path;

use anyhow::{Result, anyhow};
use fusebox_core::risk::FEATURES;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::data::{Sample, Source};
use crate::metrics::reliability;
use crate::report::{levels, mixed, of_source};
use crate::trained::Trained;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Colours that people with colour-blindness tell apart (Okabe and Ito 2008).
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const GREY: RGBColor = RGBColor(120, 120, 120);
const FONT: &str = "sans-serif";

/// Draws all pictures into a folder.
///
/// # Errors
/// When one cannot be written.
pub fn all(trained: &Trained, folder: &Path) -> Result<()> {
    let picture = |name: &str, size: (u32, u32), draw: &dyn Fn(&Area<'_>) -> Result<()>| -> Result<()> {
        let path = folder.join(name);
        let area = SVGBackend::new(&path, size).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present().map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
    };
    picture("training.svg", (800, 420), &|area| training(area, trained))?;
    picture("confusion.svg", (860, 280), &|area| confusion(area, trained))?;
    picture("importance.svg", (800, 420), &|area| importance(area, trained))?;
    picture("features.svg", (1100, 900), &|area| features(area, trained))?;
    picture("reliability.svg", (900, 460), &|area| reliability_diagrams(area, trained))
}

#[expect(clippy::cast_precision_loss, reason = "at most 30 epochs")]
fn training(area: &Area<'_>, trained: &Trained) -> Result<()> {
    let epochs = &trained.report.epochs;
    let most = epochs.iter().map(|epoch| epoch.train_loss.max(epoch.validate_loss)).fold(0.0, f64::max) * 1.05;
    let last = epochs.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption("Cross-entropy by epoch", (FONT, 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(1.0..last.max(2.0), 0.0..most)?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .y_desc("cross-entropy")
        .light_line_style(WHITE)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .draw()?;
    let line = |pick: fn(&crate::network::Epoch) -> f64| {
        epochs.iter().enumerate().map(move |(place, epoch)| (place as f64 + 1.0, pick(epoch))).collect::<Vec<_>>()
    };
    for (name, colour, points) in [
        ("training data, with dropout", BLUE, line(|epoch| epoch.train_loss)),
        ("validation data", ORANGE, line(|epoch| epoch.validate_loss)),
    ] {
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(GREY).draw()?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of plans are below 2^53")]
fn confusion(area: &Area<'_>, trained: &Trained) -> Result<()> {
    for (part, (name, title)) in area
        .split_evenly((1, 2))
        .iter()
        .zip([("mixed", "Mixed test set"), ("hard", "Hard set: within one unit of a threshold")])
    {
        let Some(metrics) = trained.report.metrics.get(name) else { continue };
        part.titled(title, (FONT, 17))?;
        let (left, top, cell) = (120, 70, (90, 64));
        text(part, "predicted", (left + cell.0, 28), 14)?;
        text(part, "is", (20, top + cell.1 + 20), 14)?;
        for (row, counts) in metrics.confusion.iter().enumerate() {
            let all = counts.iter().sum::<usize>().max(1) as f64;
            let y = top + i32::try_from(row)? * cell.1;
            let level = levels().get(row).copied().unwrap_or_default();
            text(part, level, (50, y + 24), 13)?;
            text(part, level, (left + i32::try_from(row)? * cell.0 + 14, top - 18), 13)?;
            for (column, count) in counts.iter().enumerate() {
                let x = left + i32::try_from(column)? * cell.0;
                let share = *count as f64 / all;
                let colour = if row == column { BLUE } else { ORANGE };
                part.draw(&Rectangle::new(
                    [(x, y), (x + cell.0 - 3, y + cell.1 - 3)],
                    colour.mix(0.08 + 0.6 * share).filled(),
                ))?;
                text(part, &count.to_string(), (x + 12, y + 14), 16)?;
                text(part, &format!("{:.2} %", share * 100.0), (x + 12, y + 38), 12)?;
            }
        }
    }
    Ok(())
}

fn importance(area: &Area<'_>, trained: &Trained) -> Result<()> {
    let mut bars: Vec<(&str, f64)> = trained.report.importance.iter().map(|(name, grows)| (*name, *grows)).collect();
    bars.sort_by(|one, other| other.1.total_cmp(&one.1));
    area.titled("Growth of the log loss when one feature is shuffled (mixed test set)", (FONT, 17))?;
    let most = bars.first().map_or(1.0, |(_, grows)| *grows).max(1e-9);
    for (place, (name, grows)) in bars.iter().enumerate() {
        let y = 56 + 38 * i32::try_from(place)?;
        text(area, name, (16, y + 4), 14)?;
        #[expect(clippy::cast_possible_truncation, reason = "pixels")]
        let width = (grows.max(0.0) / most * 480.0) as i32;
        area.draw(&Rectangle::new([(200, y), (200 + width.max(1), y + 24)], BLUE.filled()))?;
        text(area, &format!("{grows:.4}"), (210 + width, y + 5), 13)?;
    }
    Ok(())
}

/// Shares of the training data by bins of equal width, each feature up to where nearly all plans are.
fn features(area: &Area<'_>, trained: &Trained) -> Result<()> {
    let drawn = of_source(&trained.data.train, Source::Synthetic);
    let real = of_source(&trained.data.train, Source::Bpi);
    for (place, part) in area.split_evenly((3, 3)).iter().enumerate() {
        let name = FEATURES.get(place).copied().unwrap_or_default();
        let values = |samples: &[Sample]| {
            let of = |sample: &Sample| sample.features.numbers().get(place).copied().unwrap_or_default();
            let mut values: Vec<u64> = samples.iter().map(of).collect();
            values.sort_unstable();
            values
        };
        let (drawn, real) = (values(&drawn), values(&real));
        let nearly_all = |values: &[u64]| values.get(values.len() * 98 / 100).copied().unwrap_or(1);
        let most = nearly_all(&drawn).max(nearly_all(&real)).max(1);
        let bins = usize::try_from(most + 1)?.min(20);
        let (drawn, real) = (shares(&drawn, most, bins), shares(&real, most, bins));
        let top = drawn.iter().chain(&real).copied().fold(0.01, f64::max) * 1.1;
        let top_value = most;
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let (most, width) = (most as f64 + 1.0, (most as f64 + 1.0) / bins as f64);
        let mut chart = ChartBuilder::on(part)
            .caption(name, (FONT, 16))
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(44)
            .build_cartesian_2d(0.0..most, 0.0..top)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_labels(usize::try_from(top_value + 1)?.min(6))
            .y_labels(5)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{:.0} %", y * 100.0))
            .draw()?;
        for (shares, colour, name) in [(&drawn, BLUE, "drawn"), (&real, ORANGE, "BPI")] {
            let bars = shares.iter().enumerate().map(|(bin, share)| {
                #[expect(clippy::cast_precision_loss, reason = "at most 20 bins")]
                let x = bin as f64 * width;
                Rectangle::new([(x, 0.0), (x + width, *share)], colour.mix(0.45).filled())
            });
            chart
                .draw_series(bars)?
                .label(name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.mix(0.45).filled()));
        }
        if place == 0 {
            chart.configure_series_labels().background_style(WHITE).border_style(GREY).draw()?;
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of plans are below 2^53")]
fn shares(values: &[u64], most: u64, bins: usize) -> Vec<f64> {
    let mut counts = vec![0_u64; bins];
    for value in values {
        let bin = usize::try_from(value.saturating_mul(bins as u64) / (most + 1)).unwrap_or(bins);
        if let Some(count) = counts.get_mut(bin) {
            *count += 1;
        }
    }
    counts.iter().map(|count| *count as f64 / values.len().max(1) as f64).collect()
}

#[expect(clippy::cast_precision_loss, reason = "15 bins")]
fn reliability_diagrams(area: &Area<'_>, trained: &Trained) -> Result<()> {
    let mixed = mixed(&trained.data.test);
    let hard = of_source(&trained.data.test, Source::Hard);
    for (part, (title, samples)) in
        area.split_evenly((1, 2)).iter().zip([("Mixed test set", mixed), ("Hard set", hard)])
    {
        let bins = reliability(&trained.network.predict(&samples)?, &samples);
        let mut chart = ChartBuilder::on(part)
            .caption(title, (FONT, 17))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(0.3..1.0, 0.0..1.0)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("top probability")
            .y_desc("share that was right")
            .draw()?;
        chart.draw_series(LineSeries::new([(0.3, 0.3), (1.0, 1.0)], GREY.stroke_width(1)))?;
        let full: Vec<_> = bins.iter().filter(|(count, _, _)| *count > 0).collect();
        let points: Vec<(f64, f64)> = full.iter().map(|(_, top, right)| (*top, *right)).collect();
        chart.draw_series(LineSeries::new(points.clone(), BLUE.stroke_width(2)))?;
        let most = full.iter().map(|(count, _, _)| *count).max().unwrap_or(1) as f64;
        // As large as there are plans: a bin of a few plans says little.
        chart.draw_series(full.iter().map(|(count, top, right)| {
            #[expect(clippy::cast_possible_truncation, reason = "pixels")]
            let size = 2 + (8.0 * (*count as f64 / most).sqrt()) as i32;
            Circle::new((*top, *right), size, BLUE.filled())
        }))?;
    }
    Ok(())
}

fn text(area: &Area<'_>, words: &str, at: (i32, i32), size: u32) -> Result<()> {
    area.draw(&Text::new(words.to_owned(), at, (FONT, size)))?;
    Ok(())
}
