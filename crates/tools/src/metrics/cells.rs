//! Where counts are kept: an array of cells per node, and handles that know their place in it.
//!
//! A [`Row`] says what a metric is. A handle ([`Counter`], [`Gauge`], …) is its typed counterpart: its labels are types, so that counting is
//! an addition at an index, and no label can be anything but one of its words. `metrics!` makes both of one line.

use std::marker::PhantomData;

use event::KindId;

use super::label::{Dimension, Labels};

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// `peerobserver_messages_total`
    pub name: &'static str,
    /// What it says, in a sentence or two.
    pub help: &'static str,
    /// What kind of number it is.
    pub shape: Shape,
    /// What it is divided by, besides the node.
    pub labels: &'static [Dimension],
    /// The events that it is made of; none where it is made of the stream itself.
    pub from: &'static [KindId],
    /// Series that it can have per node.
    pub series: usize,
}

/// What kind of number a metric is, and how its cells hold it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shape {
    /// Counted here: a whole number that begins at 0 with this process.
    Counter,
    /// A value as of some moment, as bits of a float; not a number while it is absent.
    Gauge,
    /// Counted elsewhere, since the node or something of it began: held as a gauge, shown as a counter.
    Reported,
    /// Observations by upper bound: a cell per bound, one for what is above all, one for the sum as bits of a float.
    Histogram(&'static [f64]),
}

impl Shape {
    /// Cells of one series.
    pub const fn cells(self) -> usize {
        match self {
            Self::Histogram(bounds) => bounds.len() + 2,
            Self::Counter | Self::Gauge | Self::Reported => 1,
        }
    }

    /// Whether the value vanishes with its source.
    pub const fn vanishes(self) -> bool {
        matches!(self, Self::Gauge | Self::Reported)
    }
}

impl Row {
    /// The row of a handle.
    pub const fn of<M: Metric>(name: &'static str, help: &'static str, from: &'static [KindId]) -> Self {
        Self { name, help, shape: M::SHAPE, labels: M::LABELS, from, series: M::SERIES }
    }

    /// Cells of all series.
    pub const fn cells(&self) -> usize {
        self.series * self.shape.cells()
    }
}

/// Where each row's cells begin; the last number is how many there are.
pub const fn offsets<const N: usize, const M: usize>(rows: &[Row; N]) -> [usize; M] {
    let mut offsets = [0; M];
    let mut at = 0;
    while at < N {
        offsets[at + 1] = offsets[at] + rows[at].cells();
        at += 1;
    }
    offsets
}

/// Makes a table: per line a [`Row`] in `ROWS` and a handle of the same name.
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $handle:ident: $type:ty = $name:literal from $from:expr;)+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the handles' names, for their places")]
        enum Place { $($handle,)+ End }

        /// Every metric of this table, in the order of the page.
        pub const ROWS: [$crate::metrics::cells::Row; Place::End as usize] = [$(
            $crate::metrics::cells::Row::of::<$type>(concat!("peerobserver_", $name), concat!($($help),+).trim_ascii(), $from),
        )+];

        /// Where the cells of each row begin, and where the last end.
        pub const OFFSETS: [usize; Place::End as usize + 1] = $crate::metrics::cells::offsets(&ROWS);

        $($(#[doc = $help])+ pub const $handle: $type = <$type>::at(OFFSETS[Place::$handle as usize]);)+
    };
}
pub(super) use metrics;

/// The cells of one node.
#[derive(Clone, Debug)]
pub struct Cells(Box<[u64]>);

/// A gauge that has no value.
const ABSENT: u64 = f64::NAN.to_bits();

impl Cells {
    /// Nothing counted, no gauge there.
    pub fn new(rows: &[Row]) -> Self {
        let mut cells = Vec::with_capacity(rows.iter().map(Row::cells).sum());
        for row in rows {
            let nothing = if row.shape.vanishes() { ABSENT } else { 0 };
            cells.resize(cells.len() + row.cells(), nothing);
        }
        Self(cells.into())
    }

    /// The cells from one place on.
    pub fn from(&self, offset: usize, count: usize) -> &[u64] {
        &self.0[offset..offset + count]
    }

    /// Takes the values of a row away.
    pub fn forget(&mut self, offset: usize, row: &Row) {
        debug_assert!(row.shape.vanishes());
        self.0[offset..offset + row.cells()].fill(ABSENT);
    }

    fn add(&mut self, at: usize, count: u64) {
        // who lies about a count may stop a counter, not the program
        self.0[at] = self.0[at].saturating_add(count);
    }

    fn add_float(&mut self, at: usize, value: f64) {
        self.0[at] = (f64::from_bits(self.0[at]) + value).to_bits();
    }
}

/// What a handle says of its row.
pub trait Metric {
    /// What kind of number.
    const SHAPE: Shape;
    /// Its labels.
    const LABELS: &'static [Dimension];
    /// How many series they make.
    const SERIES: usize;
}

macro_rules! handle {
    ($(#[doc = $doc:literal])+ $name:ident, $shape:expr) => {
        $(#[doc = $doc])+
        pub struct $name<L>(usize, PhantomData<L>);

        impl<L: Labels> Metric for $name<L> {
            const SHAPE: Shape = $shape;
            const LABELS: &'static [Dimension] = L::DIMENSIONS;
            const SERIES: usize = L::SERIES;
        }

        impl<L: Labels> $name<L> {
            /// The handle of the cells from this place on.
            pub const fn at(offset: usize) -> Self {
                Self(offset, PhantomData)
            }
        }
    };
}

handle! {
    /// Counts.
    Counter, Shape::Counter
}
handle! {
    /// Has a value while its source has.
    Gauge, Shape::Gauge
}
handle! {
    /// Repeats a count of the node's.
    Reported, Shape::Reported
}

impl<L: Labels> Counter<L> {
    /// Adds to a series.
    #[inline]
    pub fn add(&self, cells: &mut Cells, labels: L, count: u64) {
        cells.add(self.0 + labels.index(), count);
    }
}

macro_rules! settable {
    ($name:ident) => {
        impl<L: Labels> $name<L> {
            /// Sets a series.
            pub fn set(&self, cells: &mut Cells, labels: L, value: f64) {
                cells.0[self.0 + labels.index()] = value.to_bits();
            }

            /// Sets a series, or takes it away.
            pub fn set_or_forget(&self, cells: &mut Cells, labels: L, value: Option<f64>) {
                self.set(cells, labels, value.unwrap_or(f64::NAN));
            }

            /// What a series has.
            pub fn get(&self, cells: &Cells, labels: L) -> Option<f64> {
                Some(f64::from_bits(cells.0[self.0 + labels.index()])).filter(|value| !value.is_nan())
            }

            /// Sets every series to the same value: 0 before counting anew, not a number to take all away.
            pub fn fill(&self, cells: &mut Cells, value: f64) {
                cells.0[self.0..self.0 + L::SERIES].fill(value.to_bits());
            }

            /// Adds to a series; to nothing is to 0.
            pub fn add(&self, cells: &mut Cells, labels: L, value: f64) {
                let before = self.get(cells, labels).unwrap_or(0.0);
                self.set(cells, labels, before + value);
            }
        }
    };
}
settable!(Gauge);
settable!(Reported);

/// Upper bounds of a histogram, ascending.
pub trait Buckets {
    /// The bounds.
    const BOUNDS: &'static [f64];
}

/// Counts observations by size.
pub struct Histogram<L, B>(usize, PhantomData<(L, B)>);

impl<L: Labels, B: Buckets> Metric for Histogram<L, B> {
    const SHAPE: Shape = Shape::Histogram(B::BOUNDS);
    const LABELS: &'static [Dimension] = L::DIMENSIONS;
    const SERIES: usize = L::SERIES;
}

impl<L: Labels, B: Buckets> Histogram<L, B> {
    /// The handle of the cells from this place on.
    pub const fn at(offset: usize) -> Self {
        Self(offset, PhantomData)
    }

    /// Adds an observation. What is not finite is none.
    #[inline]
    pub fn observe(&self, cells: &mut Cells, labels: L, value: f64) {
        if value.is_finite() {
            let first = self.0 + labels.index() * Self::SHAPE.cells();
            let above = B::BOUNDS.iter().filter(|bound| value > **bound).count();
            cells.add(first + above, 1);
            cells.add_float(first + B::BOUNDS.len() + 1, value);
        }
    }
}
