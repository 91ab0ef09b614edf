//! A report for monitoring systems, as plain data: families of gauges.
//!
//! A report is of one moment and the next may have lower figures, so there is no counter among them.

use crate::estimate::Estimate;

/// Names and values, in the order in which they are written.
pub type Labels = Vec<(&'static str, String)>;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    pub families: Vec<Family>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Without the program's name before it and the unit after it.
    pub name: String,
    /// A sentence without its full stop, without quotes and backslashes, which the formats escape differently.
    pub help: String,
    pub unit: Unit,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub labels: Labels,
    /// In the family's unit.
    pub value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Ratio,
    Bytes,
    /// A number of things.
    None,
}

/// Unit of a figure in a record, from which it is converted to its base unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    Nanoseconds,
    Seconds,
    /// A share of 1, a quotient, or a change as a share.
    Ratio,
    Bytes,
    /// A number of things; 1 and 0 for yes and no.
    Count,
}

impl Quantity {
    fn unit(self) -> Unit {
        match self {
            Quantity::Nanoseconds | Quantity::Seconds => Unit::Seconds,
            Quantity::Ratio => Unit::Ratio,
            Quantity::Bytes => Unit::Bytes,
            Quantity::Count => Unit::None,
        }
    }

    fn in_base_unit(self, value: f64) -> f64 {
        match self {
            Quantity::Nanoseconds => value / 1e9,
            Quantity::Seconds | Quantity::Ratio | Quantity::Bytes | Quantity::Count => value,
        }
    }
}

impl Metrics {
    /// Adds families over these rows, of which each gets its labels.
    pub fn rows<'m, R>(&'m mut self, rows: &'m [R], labels: fn(&R) -> Labels) -> Rows<'m, R> {
        Rows { metrics: self, rows, labels }
    }
}

/// Adds families, each with the samples of all rows that have the figure.
#[derive(Debug)]
pub struct Rows<'m, R> {
    metrics: &'m mut Metrics,
    rows: &'m [R],
    labels: fn(&R) -> Labels,
}

impl<R> Rows<'_, R> {
    pub fn figure(
        &mut self,
        name: &str,
        quantity: Quantity,
        help: &str,
        figure: impl Fn(&R) -> Option<f64>,
    ) -> &mut Self {
        self.samples(name, quantity, help, |row| figure(row).map(|value| (Labels::new(), value)).into_iter().collect())
    }

    /// A median, and the ends of its interval in families of their own: a sum or a maximum over all of one family is then
    /// never one of figures of two sorts.
    pub fn estimate(
        &mut self,
        name: &str,
        quantity: Quantity,
        help: &str,
        estimate: impl Fn(&R) -> Option<Estimate>,
    ) -> &mut Self {
        let [low, high] = [("low", "lower"), ("high", "upper")]
            .map(|(end, word)| (format!("{name}_{end}"), format!("{help}; the {word} end of its interval")));
        self.figure(name, quantity, help, |row| Some(estimate(row)?.median))
            .figure(&low.0, quantity, &low.1, |row| estimate(row)?.low)
            .figure(&high.0, quantity, &high.1, |row| estimate(row)?.high)
    }

    /// Adds a family of value 1 whose labels carry the facts: those that are known.
    pub fn info(
        &mut self,
        name: &str,
        help: &str,
        labels: impl Fn(&R) -> Vec<(&'static str, Option<String>)>,
    ) -> &mut Self {
        self.samples(name, Quantity::Count, help, |row| {
            let known = labels(row).into_iter().filter_map(|(label, value)| Some((label, value?)));
            vec![(known.filter(|(_, value)| !value.is_empty()).collect(), 1.0)]
        })
    }

    /// Any number of samples a row, each with labels of its own after the row's.
    ///
    /// Of two samples with the same labels the first stays: no format allows both. A family without samples is left out, and
    /// so is what is no number.
    pub fn samples(
        &mut self,
        name: &str,
        quantity: Quantity,
        help: &str,
        samples: impl Fn(&R) -> Vec<(Labels, f64)>,
    ) -> &mut Self {
        let mut kept: Vec<Sample> = Vec::new();
        for row in self.rows {
            for (own, value) in samples(row) {
                let labels = (self.labels)(row).into_iter().chain(own).collect();
                let value = quantity.in_base_unit(value);
                if value.is_finite() && kept.iter().all(|sample| sample.labels != labels) {
                    kept.push(Sample { labels, value });
                }
            }
        }
        if !kept.is_empty() {
            let (name, help) = (name.to_string(), help.to_string());
            self.metrics.families.push(Family { name, help, unit: quantity.unit(), samples: kept });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics_of(rows: &[(&str, Option<f64>)], quantity: Quantity) -> Vec<Family> {
        let mut metrics = Metrics::default();
        let rows: Vec<(String, Option<f64>)> = rows.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        metrics.rows(&rows, |row| vec![("name", row.0.clone())]).figure("x", quantity, "An x", |row| row.1);
        metrics.families
    }

    fn values(families: &[Family]) -> Vec<f64> {
        families.iter().flat_map(|family| &family.samples).map(|sample| sample.value).collect()
    }

    #[test]
    fn what_is_not_measured_or_no_number_has_no_sample_and_no_family() {
        assert_eq!(values(&metrics_of(&[("a", Some(0.0)), ("b", None)], Quantity::Count)), [0.0]);
        assert_eq!(metrics_of(&[("a", None), ("b", Some(f64::NAN)), ("c", Some(f64::INFINITY))], Quantity::Count), []);
    }

    #[test]
    fn labels_are_never_told_twice() {
        assert_eq!(
            values(&metrics_of(&[("a", Some(1.0)), ("a", Some(2.0)), ("b", Some(3.0))], Quantity::Count)),
            [1.0, 3.0]
        );
    }

    #[test]
    fn nanoseconds_become_seconds_and_the_rest_stays() {
        for (quantity, value, unit) in [
            (Quantity::Nanoseconds, 2.5e-6, Unit::Seconds),
            (Quantity::Seconds, 2500.0, Unit::Seconds),
            (Quantity::Ratio, 2500.0, Unit::Ratio),
            (Quantity::Count, 2500.0, Unit::None),
        ] {
            let families = metrics_of(&[("a", Some(2500.0))], quantity);
            assert_eq!((values(&families), families[0].unit), (vec![value], unit));
        }
    }

    #[test]
    fn an_interval_without_ends_has_no_families_of_them() {
        let names = |estimate: Estimate| {
            let mut metrics = Metrics::default();
            metrics.rows(&[estimate], |_| Labels::new()).estimate("x", Quantity::Ratio, "An x", |row| Some(*row));
            metrics.families.into_iter().map(|family| family.name).collect::<Vec<_>>()
        };
        assert_eq!(names(Estimate { median: 1.0, low: None, high: None }), ["x"]);
        assert_eq!(names(Estimate { median: 1.0, low: Some(0.5), high: Some(2.0) }), ["x", "x_low", "x_high"]);
    }
}
