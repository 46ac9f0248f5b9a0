//! A database that may be damaged. Its library does not always tell a damaged file from a mistake of its own, and panics: when it opens the file,
//! when it reads or changes what is in it, and when it closes it.

use std::cell::Cell;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use redb::Database;

thread_local! {
    /// What panics here is caught, and said as a sentence.
    static CALM: Cell<bool> = const { Cell::new(false) };
}

/// Does something with a database; `None` if it panicked, of which nothing is printed.
pub(super) fn calmly<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !CALM.get() {
                before(panic);
            }
        }));
    });
    let before = CALM.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CALM.set(before);
    done.ok()
}

/// An open database. That it cannot be closed as it should be is found again by whoever opens it next.
pub(super) struct Held(Option<Database>);

impl Held {
    pub(super) fn new(database: Database) -> Self {
        Self(Some(database))
    }
}

impl Deref for Held {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it is taken when it is dropped")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let database = self.0.take();
        let _: Option<()> = calmly(|| drop(database));
    }
}
