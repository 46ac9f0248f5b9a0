//! A bar on long work, where somebody sees it.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often it is drawn.
pub const DRAW: Duration = Duration::from_millis(100);

/// Over so many bytes; 0 where nobody knows how many.
pub fn of_bytes(total: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    // a pipe has no end that is known
    let style = match total {
        0 => "{spinner} {binary_bytes} {binary_bytes_per_sec} {elapsed}",
        _ => "{bar:40} {percent:>3} % of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left",
    };
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style)
}
