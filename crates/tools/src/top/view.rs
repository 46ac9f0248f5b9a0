//! What of all that is looked at, and how keys change it.

use event::Direction;

use super::node::Node;
use super::nodes::Nodes;
use super::peers::{Column, Order};

/// A key that means something here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// A letter, a digit, a sign.
    Char(char),
    /// Arrows and their relatives.
    Up,
    /// A line down.
    Down,
    /// To the left.
    Left,
    /// To the right.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// The next node.
    Tab,
    /// The node before.
    BackTab,
    /// Take it.
    Enter,
    /// Away with it.
    Escape,
    /// Ctrl-C.
    Interrupt,
}

/// Which screen it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// One node.
    Node,
    /// All nodes, a line each.
    Nodes,
    /// What the keys do.
    Help,
}

/// What a person has chosen.
#[derive(Debug)]
pub struct View {
    pub page: Page,
    /// The node that is looked at. Absent: the first.
    node: Option<String>,
    pub order: Order,
    /// Only peers of this direction.
    pub only: Option<Direction>,
    /// The first peer on the screen; drawing corrects what is too far.
    pub scroll: usize,
    /// Lines of the table, as it was drawn last.
    pub lines: usize,
    /// Columns of the table, as it was drawn last.
    pub columns: &'static [Column],
}

/// Whether it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Go {
    /// It does.
    On,
    /// It stands still, or goes on after it stood still.
    Hold,
    /// The person has seen enough.
    Away,
}

impl Default for View {
    fn default() -> Self {
        Self {
            page: Page::Node,
            node: None,
            order: Order { by: Column::Messages, reversed: false },
            only: None,
            scroll: 0,
            lines: 1,
            columns: Column::NARROW,
        }
    }
}

impl View {
    /// The node that is looked at: its place, and itself.
    pub fn node<'a>(&self, nodes: &'a Nodes) -> Option<(usize, &'a Node)> {
        let chosen = self.node.as_deref().and_then(|name| nodes.all().iter().position(|node| node.name == name));
        let place = chosen.unwrap_or(0);
        Some((place, nodes.all().get(place)?))
    }

    /// A key was pressed.
    pub fn press(&mut self, key: Key, shown: &Nodes) -> Go {
        match (self.page, key) {
            (_, Key::Interrupt | Key::Char('q')) => return Go::Away,
            (Page::Help, _) => self.page = Page::Node,
            (Page::Nodes, Key::Escape | Key::Enter | Key::Char('n')) => self.page = Page::Node,
            (Page::Node, Key::Escape) => return Go::Away,
            (_, Key::Char('?' | 'h')) => self.page = Page::Help,
            (_, Key::Char(' ')) => return Go::Hold,
            (Page::Nodes, Key::Up) | (_, Key::BackTab) => self.choose(shown, -1),
            (Page::Nodes, Key::Down) | (_, Key::Tab) => self.choose(shown, 1),
            (Page::Nodes, Key::Home) => self.choose(shown, isize::MIN),
            (Page::Nodes, Key::End) => self.choose(shown, isize::MAX),
            (Page::Node, Key::Char('n')) => self.page = Page::Nodes,
            (Page::Node, key) => self.table(key),
            (Page::Nodes, _) => {}
        }
        Go::On
    }

    /// Keys of the table of peers.
    fn table(&mut self, key: Key) {
        let page = self.lines.max(1);
        match key {
            Key::Up => self.scroll = self.scroll.saturating_sub(1),
            Key::Down => self.scroll = self.scroll.saturating_add(1),
            Key::PageUp => self.scroll = self.scroll.saturating_sub(page),
            Key::PageDown => self.scroll = self.scroll.saturating_add(page),
            Key::Home => self.scroll = 0,
            Key::End => self.scroll = usize::MAX,
            Key::Left | Key::Char('S') => self.sort(-1),
            Key::Right | Key::Char('s') => self.sort(1),
            Key::Char('r') => self.order.reversed = !self.order.reversed,
            Key::Char('d') => {
                self.scroll = 0;
                self.only = match self.only {
                    None => Some(Direction::Inbound),
                    Some(Direction::Inbound) => Some(Direction::Outbound),
                    Some(_) => None,
                };
            }
            _ => {}
        }
    }

    /// By the next column, or the one before.
    fn sort(&mut self, step: isize) {
        let at = self.columns.iter().position(|column| *column == self.order.by).unwrap_or(0);
        let next = at.cast_signed().wrapping_add(step).rem_euclid(self.columns.len().max(1).cast_signed());
        self.order = Order { by: self.columns.get(next.cast_unsigned()).copied().unwrap_or(Column::Id), reversed: false };
        self.scroll = 0;
    }

    /// The node so many further on; around the end with one step.
    fn choose(&mut self, nodes: &Nodes, step: isize) {
        let count = nodes.all().len().cast_signed();
        let Some((place, _)) = self.node(nodes) else { return };
        let place = place.cast_signed();
        let next = match step {
            -1 | 1 => (place + step).rem_euclid(count),
            _ => place.saturating_add(step).clamp(0, count - 1),
        };
        self.node = Some(nodes.all()[next.cast_unsigned()].name.clone());
        self.scroll = 0;
    }
}
