//! A pseudo-terminal with the program in it, whose other end is read here.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

const PATIENCE: Duration = Duration::from_secs(60);

/// The program in a terminal, and a person before it.
pub struct Terminal {
    child: Child,
    master: OwnedFd,
    /// The other end, held so that its modes can be looked at after the program has ended.
    slave: OwnedFd,
    keys: File,
    output: Receiver<Vec<u8>>,
    pub screen: Screen,
    before: Termios,
}

impl Terminal {
    pub fn start(args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave: OwnedFd = File::options().read(true).write(true).open(name).unwrap().into();
        let screen = Screen::new(80, 24);
        tcsetwinsize(&slave, screen.size()).unwrap();
        let before = tcgetattr(&slave).unwrap();
        // a terminal of its own: the program must not ask the one that the tests were started from
        let mut command = Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_peer-observer")]).args(args).env("TERM", "xterm");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PEER_OBSERVER_")) {
            command.env_remove(name);
        }
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("util-linux has setsid");
        let (sender, output) = channel();
        let mut reader = File::from(master.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut bytes = [0; 1 << 16];
            // an error is the end: no program has the other side any more
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = File::from(master.try_clone().unwrap());
        Self { child, master, slave, keys, output, screen, before }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until the screen is like that.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, fits: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !fits(&self.screen.text()) {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.screen.take(&bytes),
                Err(_) => panic!("{what} did not come:\n{}", self.screen.text()),
            }
        }
    }

    pub fn resize(&mut self, width: u16, height: u16) {
        self.screen = Screen { alternate: self.screen.alternate, ..Screen::new(width.into(), height.into()) };
        // the terminal tells the program by a signal
        tcsetwinsize(&self.master, self.screen.size()).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How it ended, and what it left on the terminal.
    #[track_caller]
    pub fn ends(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(20)) {
                self.screen.take(&bytes);
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.screen.text());
        };
        let after = tcgetattr(&self.slave).unwrap();
        assert_eq!(after.local_modes, self.before.local_modes, "lines and echo are as they were");
        assert!(after.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
        assert_eq!(after.input_modes, self.before.input_modes);
        // the reader ends when nobody has the other side
        drop(self.slave);
        self.output.iter().for_each(|bytes| self.screen.take(&bytes));
        assert!(!self.screen.alternate && self.screen.cursor, "the screen of before, with its cursor");
        (status, self.screen.rest)
    }
}

/// As much of a terminal as the program uses.
pub struct Screen {
    width: usize,
    cells: Vec<char>,
    column: usize,
    row: usize,
    alternate: bool,
    cursor: bool,
    /// What came outside of the alternate screen.
    rest: String,
    /// What is not whole yet: part of a sequence or of a letter.
    pending: Vec<u8>,
}

impl Screen {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            cells: vec![' '; width * height],
            column: 0,
            row: 0,
            alternate: false,
            cursor: true,
            rest: String::new(),
            pending: vec![],
        }
    }

    fn size(&self) -> Winsize {
        let height = self.cells.len() / self.width;
        Winsize { ws_row: height as u16, ws_col: self.width as u16, ws_xpixel: 0, ws_ypixel: 0 }
    }

    pub fn text(&self) -> String {
        self.cells.chunks(self.width).map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
        let bytes = std::mem::take(&mut self.pending);
        let whole = match std::str::from_utf8(&bytes) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let mut text = std::str::from_utf8(&bytes[..whole]).unwrap();
        while let Some(letter) = text.chars().next() {
            if letter != '\u{1b}' {
                self.put(letter);
                text = &text[letter.len_utf8()..];
                continue;
            }
            // `ESC [ … letter`, or `ESC letter`
            let Some(end) = text[1..].find(|c: char| c.is_ascii_alphabetic()).map(|at| at + 2) else { break };
            self.obey(&text[1..end]);
            text = &text[end..];
        }
        self.pending = [text.as_bytes(), &bytes[whole..]].concat();
    }

    fn put(&mut self, letter: char) {
        if !self.alternate {
            self.rest.push(letter);
            return;
        }
        let place = self.row * self.width + self.column;
        if let Some(cell) = self.cells.get_mut(place).filter(|_| self.column < self.width) {
            *cell = letter;
        }
        self.column += 1;
    }

    fn obey(&mut self, sequence: &str) {
        match sequence {
            "[?1049h" => self.alternate = true,
            "[?1049l" => self.alternate = false,
            "[?25h" => self.cursor = true,
            "[?25l" => self.cursor = false,
            "[2J" => self.cells.fill(' '),
            _ => {
                if let Some(place) = sequence.strip_prefix('[').and_then(|rest| rest.strip_suffix('H')) {
                    let (row, column) = place.split_once(';').unwrap_or(("1", "1"));
                    (self.row, self.column) = (row.parse::<usize>().unwrap() - 1, column.parse::<usize>().unwrap() - 1);
                }
                // the rest is colours
            }
        }
    }
}
