//! [`plot`]: latencies as a picture.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use super::report::Report;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PlotError(#[from] Box<dyn Error + Send + Sync>);

/// Parts of all deliveries that have a mark on the axis, as powers of ten of what is left.
const NINES: std::ops::Range<f64> = 0.0..5.0;

/// Pixels.
const SIZE: (u32, u32) = (960, 540);

/// Draws the latencies of several runs, each with its name, into an SVG file: across the part of the
/// deliveries, with as much room for the last percent as for those before; upwards the time, in powers of ten.
///
/// # Errors
///
/// If there is nothing to draw, or the file cannot be written.
pub fn plot(runs: &[(String, Report)], title: &str, file: &Path) -> Result<(), PlotError> {
    draw(runs, title, file).map_err(|error| PlotError(error.to_string().into()))
}

fn draw(runs: &[(String, Report)], title: &str, file: &Path) -> Result<(), Box<dyn Error>> {
    let points = runs.iter().flat_map(|(_, report)| &report.percentiles).map(|point| point.1);
    let (least, most) = points
        .fold((f64::MAX, 0.0_f64), |(least, most), micros| (least.min(micros), most.max(micros)));
    if most == 0.0 {
        return Err("no deliveries, no latencies".into());
    }
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        // For half of the last label.
        .margin_right(48)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(NINES, (least.max(1.0) / 2.0..most * 2.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("part of the deliveries")
        .y_desc("latency")
        .x_label_formatter(&|nines| match nines {
            nines if *nines < 0.5 => "0 %".to_owned(),
            nines => {
                let digits = (nines.round() as usize).saturating_sub(2);
                format!("{:.digits$} %", 100.0 - 100.0 * 10_f64.powf(-nines))
            }
        })
        .y_label_formatter(&|micros| match *micros {
            micros if micros < 1e3 => format!("{micros:.0} µs"),
            micros if micros < 1e6 => format!("{:.0} ms", micros / 1e3),
            micros => format!("{:.0} s", micros / 1e6),
        })
        .x_labels(6)
        .draw()?;
    for (at, (name, report)) in runs.iter().enumerate() {
        let color = Palette99::pick(at).to_rgba();
        let line = report
            .percentiles
            .iter()
            .map(|(part, micros)| (-(1.0 - part).max(1e-9).log10(), micros.max(1.0)));
        let line = line.filter(|(nines, _)| *nines <= NINES.end);
        chart
            .draw_series(LineSeries::new(line, color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        // Where no line is: latencies only rise.
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}
