//! What is drawn on: lines of parts, each of one style.

use ratatui_core::buffer::Buffer;
use ratatui_core::style::{Color, Modifier, Style};

/// A piece of text in one style.
pub struct Part {
    text: String,
    paint: Paint,
}

/// What a piece of text is, for its looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paint {
    Plain,
    Strong,
    Dim,
    /// Something is as it should be.
    Good,
    /// Something is not.
    Bad,
    /// The heading of a table.
    Title,
    /// The chosen line, or the first of the screen.
    Bar,
    /// A line of values.
    Values,
    /// Peers that came, and those that the node chose.
    Inbound,
    FullRelay,
    BlockRelay,
}

impl Paint {
    fn style(self, colour: bool) -> Style {
        let style = match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().add_modifier(Modifier::BOLD),
            Self::Dim => Style::new().add_modifier(Modifier::DIM),
            Self::Good => Style::new().fg(Color::Green),
            Self::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
            Self::Title => Style::new().add_modifier(Modifier::UNDERLINED),
            Self::Bar => Style::new().add_modifier(Modifier::REVERSED),
            Self::Values => Style::new().fg(Color::Cyan),
            Self::Inbound => Style::new().fg(Color::Blue),
            Self::FullRelay => Style::new().fg(Color::Red),
            Self::BlockRelay => Style::new().fg(Color::Yellow),
        };
        // NO_COLOR is about colours: what is bold stays so
        if colour { style } else { Style { fg: None, bg: None, ..style } }
    }
}

pub fn painted(text: impl Into<String>, paint: Paint) -> Part {
    Part { text: text.into(), paint }
}

pub fn part(text: impl Into<String>) -> Part {
    painted(text, Paint::Plain)
}

pub fn strong(text: impl Into<String>) -> Part {
    painted(text, Paint::Strong)
}

pub fn dim(text: impl Into<String>) -> Part {
    painted(text, Paint::Dim)
}

pub fn good(text: impl Into<String>) -> Part {
    painted(text, Paint::Good)
}

pub fn bad(text: impl Into<String>) -> Part {
    painted(text, Paint::Bad)
}

pub fn title(text: impl Into<String>) -> Part {
    painted(text, Paint::Title)
}

/// A buffer of cells, by line. What does not fit is left out.
pub struct Canvas<'a> {
    buffer: &'a mut Buffer,
    colour: bool,
}

impl<'a> Canvas<'a> {
    pub fn new(buffer: &'a mut Buffer, colour: bool) -> Self {
        Self { buffer, colour }
    }

    pub fn width(&self) -> usize {
        self.buffer.area.width.into()
    }

    pub fn height(&self) -> usize {
        self.buffer.area.height.into()
    }

    /// A line from the left.
    pub fn line(&mut self, row: usize, parts: impl IntoIterator<Item = Part>) {
        self.within(row, 0, self.width(), parts);
    }

    /// A line from a column on, no longer than `width`.
    pub fn within(&mut self, row: usize, column: usize, width: usize, parts: impl IntoIterator<Item = Part>) {
        let end = (column + width).min(self.width());
        let mut column = column;
        for Part { text, paint } in parts {
            if row >= self.height() || column >= end {
                return;
            }
            let at = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
            let area = self.buffer.area;
            let (next, _) =
                self.buffer.set_stringn(area.x + at(column), area.y + at(row), text, end - column, paint.style(self.colour));
            column = usize::from(next - area.x);
        }
    }

    /// A bar over the whole width, with text at both ends: at the right the first that fits.
    pub fn title(&mut self, row: usize, left: &str, right: &[&str]) {
        let width = self.width();
        let room = width.saturating_sub(left.chars().count() + 1);
        let right = right.iter().find(|text| text.chars().count() <= room).copied().unwrap_or_default();
        let gap = width.saturating_sub(left.chars().count() + right.chars().count());
        self.line(row, [painted(format!("{left}{:gap$}{right}", ""), Paint::Bar)]);
    }
}

/// Values as a line of bars, the last at the right; seconds in which something was lost in red. What is not known is blank, nothing is the
/// lowest bar.
pub fn bars(values: &[f32], lost: &[f32], width: usize) -> Vec<Part> {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f32::max);
    let bar = |value: f32| match value {
        value if value.is_nan() => ' ',
        value if value <= 0.0 || most <= 0.0 => BARS[0],
        // something is never as low as nothing
        value => BARS[((value / most * 7.0).ceil() as usize).clamp(1, 7)],
    };
    let mut parts = vec![part(" ".repeat(width.saturating_sub(values.len())))];
    for (at, value) in values.iter().enumerate() {
        let paint = if lost.get(at).is_some_and(|lost| *lost > 0.0) { Paint::Bad } else { Paint::Values };
        match parts.last_mut() {
            Some(last) if last.paint == paint => last.text.push(bar(*value)),
            _ => parts.push(painted(bar(*value), paint)),
        }
    }
    parts
}
