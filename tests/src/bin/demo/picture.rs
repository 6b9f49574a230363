//! The load's latency over time, with the faults marked: drawn as SVG and on the terminal.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use textplots::{Chart, ColorPlot, Shape};

use rvmm_tests::service::load::Request;

/// A tenth of a second is drawn as its longest request.
const STEP: Duration = Duration::from_millis(100);

const SIZE: (u32, u32) = (1400, 500);

/// Dots across and down on a terminal: a character is two of them wide and four high.
const DOTS: (u32, u32) = (200, 60);

/// A fault, when it was injected, since the load began, and into what.
pub struct Mark {
    pub at: Duration,
    pub component: &'static str,
}

/// The longest request of each step: seconds and milliseconds.
fn curve(requests: &[Request]) -> Vec<(f32, f32)> {
    let mut longest: Vec<Option<Duration>> = Vec::new();
    for request in requests {
        let step = (request.at.as_millis() / STEP.as_millis()) as usize;
        longest.resize(longest.len().max(step + 1), None);
        longest[step] = longest[step].max(Some(request.took));
    }
    let second = |step: usize| step as f32 * STEP.as_secs_f32();
    let points = longest.into_iter().enumerate();
    points.filter_map(|(step, took)| Some((second(step), took?.as_secs_f32() * 1000.0))).collect()
}

/// Draws to the file `path`.
///
/// # Errors
/// When it cannot be written.
pub fn draw(path: &Path, requests: &[Request], marks: &[Mark], components: &[&'static str]) -> Result<()> {
    let points = curve(requests);
    draw_curve(path, &points, marks, components).map_err(|error| anyhow!("{}: {error}", path.display()))
}

fn draw_curve(
    path: &Path,
    points: &[(f32, f32)],
    marks: &[Mark],
    components: &[&'static str],
) -> Result<(), Box<dyn std::error::Error>> {
    let end = points.last().map_or(1.0, |(second, _)| *second);
    let (least, most) =
        points.iter().fold((f32::MAX, 1.0f32), |(least, most), (_, ms)| (least.min(*ms), most.max(*ms)));
    let (low, high) = (least.clamp(0.1, most) / 2.0, most * 2.0);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Requests to a guest's web server, while everything beneath it fails", ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0f32..end, (low..high).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc("seconds")
        .y_desc("longest request of a tenth of a second, in ms")
        .draw()?;
    for (number, component) in components.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let of = marks.iter().filter(|mark| mark.component == *component);
        let line = |mark: &Mark| {
            PathElement::new([(mark.at.as_secs_f32(), low), (mark.at.as_secs_f32(), high)], color.mix(0.4))
        };
        chart
            .draw_series(of.map(line))?
            .label(format!("{component} is broken"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
    }
    chart
        .draw_series(LineSeries::new(points.iter().copied(), &BLACK))?
        .label("longest request")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], BLACK));
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}

/// Draws on the terminal; faults are marked in red.
pub fn print(requests: &[Request], marks: &[Mark]) {
    let points = curve(requests);
    let end = points.last().map_or(1.0, |(second, _)| *second);
    let lowest = points.iter().map(|(_, ms)| *ms).fold(f32::MAX, f32::min);
    let faults: Vec<(f32, f32)> = marks.iter().map(|mark| (mark.at.as_secs_f32(), lowest)).collect();
    Chart::new(DOTS.0, DOTS.1, 0.0, end)
        .linecolorplot(&Shape::Lines(&points), (255, 255, 255).into())
        .linecolorplot(&Shape::Points(&faults), (255, 0, 0).into())
        .nice();
}
