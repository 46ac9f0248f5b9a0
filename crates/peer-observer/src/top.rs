//! `peer-observer top`, and the screen of `run --top`: the terminal around [`tools::top`].

mod held;

use std::future::Future;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::Subscription;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, terminal};
use ratatui_crossterm::CrosstermBackend;
use tokio::sync::mpsc;
use tools::top::{Desk, Input, Key};

pub use held::Held;

use crate::alone;
use crate::cli;
use crate::exit::{Code, Failure};

/// What the program says of itself while the screen is up.
pub static LOG: Held = Held::new();

/// Whether the terminal is ours.
static UP: AtomicBool = AtomicBool::new(false);

/// `peer-observer top`
///
/// # Errors
///
/// There is no terminal, or the bus or a recording cannot be read.
pub fn run(options: cli::Top) -> Result<(), Failure> {
    let filter = tools::top::wanted().of_nodes(options.node.clone());
    if !options.recording.is_empty() {
        return recorded(&options, filter);
    }
    if options.nats.url.is_none() {
        let run = "`peer-observer run --top` watches a node on this machine, and shows it";
        return Err(alone::no_input("top", "show", run));
    }
    check()?;
    alone::follow(&options.nats, options.replay_id, filter, |events| Ok(Screen::take()?.show(events, std::future::ready(()))))
}

/// Over recordings: the last of it stays until a key or a signal.
fn recorded(options: &cli::Top, filter: event::Filter) -> Result<(), Failure> {
    let recordings = alone::recorded(&options.recording, &filter)?;
    check()?;
    let tool = |events, stopped: alone::Stopped| Ok(Screen::take()?.show(events, stopped.wait()));
    alone::stay(recordings, alone::pace(options.speed), filter, tool, async {})
}

/// Whether there is a terminal to draw on, and one to type at. Comes before anything starts.
///
/// # Errors
///
/// There is none.
pub fn check() -> Result<(), Failure> {
    let wrong = match () {
        () if !io::stdout().is_terminal() => "standard output is no terminal",
        () if !io::stdin().is_terminal() => "standard input is no terminal",
        () if std::env::var_os("TERM").is_some_and(|term| term == "dumb") => "this terminal cannot place text (TERM is `dumb`)",
        () => return Ok(()),
    };
    Err(Failure::new(Code::Usage, anyhow::anyhow!("{wrong}"))
        .hint("`run` without `--top`, and `logger`, print lines, `metrics` serves numbers: none of them needs a terminal"))
}

/// The terminal, while it is ours. It is given back when this goes away, and when something panics.
pub struct Screen {
    keys: mpsc::Receiver<Input>,
}

impl Screen {
    /// Takes the terminal, and listens to its keys.
    ///
    /// # Errors
    ///
    /// It cannot be had.
    pub fn take() -> anyhow::Result<Self> {
        let failed = |error: io::Error| anyhow::Error::new(error).context("failed to take the terminal");
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // first, or what it says is drawn over
            give_back();
            before(panic);
        }));
        // wait: whoever types faster than it is drawn
        let (sender, keys) = mpsc::channel(64);
        LOG.hold();
        UP.store(true, Ordering::SeqCst);
        let screen = Self { keys };
        terminal::enable_raw_mode().map_err(failed)?;
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide).map_err(failed)?;
        std::thread::Builder::new().name("po-keys".into()).spawn(move || listen(&sender)).map_err(failed)?;
        Ok(screen)
    }

    /// Shows events until the person wants no more, or they have ended and `stop` has.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written to.
    pub async fn show(mut self, events: Subscription, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        let terminal = ratatui_core::terminal::Terminal::new(CrosstermBackend::new(BufWriter::new(Out(io::stdout()))))?;
        let (_, input) = mpsc::channel(1);
        let desk = Desk {
            terminal,
            input: std::mem::replace(&mut self.keys, input),
            notices: || LOG.warning(),
            colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        tools::top::run(desk, events, stop).await
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// The terminal is as it was, and what was held back is said.
fn give_back() {
    if UP.swap(false, Ordering::SeqCst) {
        // nothing more can be done where this fails
        let _ = execute!(io::stdout(), cursor::Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
        LOG.release();
    }
}

/// Standard output, as long as it shows our screen.
struct Out(Stdout);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if UP.load(Ordering::SeqCst) { self.0.write(bytes) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Passes on what is typed, until the terminal is not ours any more, or away.
fn listen(keys: &mpsc::Sender<Input>) {
    /// So soon it notices that the terminal is not ours any more.
    const LOOK: Duration = Duration::from_millis(100);
    while UP.load(Ordering::SeqCst) {
        let input = match crossterm::event::poll(LOOK) {
            Ok(false) => continue,
            Ok(true) => crossterm::event::read().map(meaning),
            Err(error) => Err(error),
        };
        match input {
            Ok(Some(input)) if keys.blocking_send(input).is_err() => return,
            Ok(_) => {}
            // nobody can type any more: the screen ends
            Err(_) => return,
        }
    }
}

/// What the terminal tells, in the screen's words.
fn meaning(event: Event) -> Option<Input> {
    let KeyEvent { code, modifiers, kind, .. } = match event {
        Event::Resize(..) => return Some(Input::Anew),
        Event::Key(key) => key,
        _ => return None,
    };
    if kind == KeyEventKind::Release {
        return None;
    }
    let control = modifiers.contains(KeyModifiers::CONTROL);
    Some(Input::Key(match code {
        KeyCode::Char('c') if control => Key::Interrupt,
        KeyCode::Char('l') if control => return Some(Input::Anew),
        KeyCode::Char(_) if control => return None,
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        _ => return None,
    }))
}
