//! Metrics in the text form that Prometheus and its exporters read.
//!
//! There are two readers: OpenMetrics, and the older Prometheus text format, in which node_exporter reads files. What is
//! written here is right in both: gauges only, also for what OpenMetrics would type `info`, which the older format refuses;
//! it takes the lines `# UNIT` and `# EOF` for comments.
//!
//! # References
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>,
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt;

use anyhow::{Context, Result};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry;
use prometheus_client::registry::Registry;

use crate::output::metrics::{Family, Labels, Metrics, Unit};
use crate::output::safe;

const PREFIX: &str = "ctxprof";

/// Draws metrics as text, with the mark of its end.
pub(super) fn draw(metrics: Metrics) -> Result<String> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(metrics));
    let mut text = String::new();
    encode(&mut text, &registry).context("writing OpenMetrics")?;
    Ok(text)
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.families.iter().try_for_each(|family| encode_family(family, &mut encoder))
    }
}

fn encode_family(family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let unit = match family.unit {
        Unit::Seconds => Some(registry::Unit::Seconds),
        // The crate's own word is `ratios`; the formats' is this one.
        Unit::Ratio => Some(registry::Unit::Other("ratio".to_string())),
        Unit::Bytes => Some(registry::Unit::Bytes),
        Unit::None => None,
    };
    let help = format!("{}.", family.help);
    let mut metric = encoder.encode_descriptor(&family.name, &help, unit.as_ref(), MetricType::Gauge)?;
    family.samples.iter().try_for_each(|sample| {
        let safe = |(name, value): &(&'static str, String)| (*name, safe::label(value).into_owned());
        let labels: Labels = sample.labels.iter().map(safe).collect();
        metric.encode_family(&labels)?.encode_gauge(&sample.value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::metrics::Sample;

    fn metrics(unit: Unit, value: f64, label: &str) -> Metrics {
        let samples = vec![Sample { labels: vec![("name", label.to_string())], value }];
        Metrics { families: vec![Family { name: "x".to_string(), help: "An x".to_string(), unit, samples }] }
    }

    #[test]
    fn a_unit_ends_the_name_and_the_text_has_an_end() {
        assert_eq!(
            draw(metrics(Unit::Seconds, 2.5e-6, "a")).unwrap(),
            "# HELP ctxprof_x_seconds An x.\n# TYPE ctxprof_x_seconds gauge\n# UNIT ctxprof_x_seconds seconds\n\
             ctxprof_x_seconds{name=\"a\"} 0.0000025\n# EOF\n"
        );
        assert!(draw(metrics(Unit::Ratio, 0.5, "a")).unwrap().contains("ctxprof_x_ratio{name=\"a\"} 0.5\n"));
        assert!(draw(metrics(Unit::None, 1.0, "a")).unwrap().contains("ctxprof_x{name=\"a\"} 1.0\n"));
        assert_eq!(draw(Metrics::default()).unwrap(), "# EOF\n");
    }

    #[test]
    fn a_label_that_would_end_itself_or_its_line_is_escaped() {
        for (label, written) in [
            ("a \"b\"", r#"a \"b\""#),
            (r"a\b", r"a\\b"),
            (r"a\n", r"a\\n"),
            ("a\nb", r"a\nb"),
            ("\"} 1\nevil 2", r#"\"} 1\nevil 2"#),
            ("ä, {b} # EOF", "ä, {b} # EOF"),
            ("\x1b[31m", r"\\x1b[31m"),
        ] {
            let text = draw(metrics(Unit::None, 1.0, label)).unwrap();
            assert!(text.contains(&format!("\nctxprof_x{{name=\"{written}\"}} 1.0\n")), "{text}");
            assert_eq!(text.lines().count(), 4, "{text}");
        }
    }
}
