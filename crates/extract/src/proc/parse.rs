//! The files of `/proc/<pid>` (proc_pid_stat(5) and its siblings), as text to values. What is not there stays absent.

/// `stat` of a process or a thread.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    /// The name, which anybody may choose: it may hold blanks and parentheses.
    pub name: String,
    /// Page faults that needed the disk.
    pub major_faults: u64,
    /// CPU time in the program, in clock ticks.
    pub user: u64,
    /// CPU time in the kernel, in clock ticks.
    pub system: u64,
    /// Number of threads.
    pub threads: u64,
    /// When it was started, in clock ticks since the machine was.
    pub started: u64,
    /// Address space, bytes.
    pub virtual_size: u64,
    /// Memory in RAM, pages.
    pub resident: u64,
}

/// Reads `stat`.
pub fn stat(text: &str) -> Option<Stat> {
    let (before, after) = text.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    // the manual counts from 1, and the two before the name are gone
    let field = |number: usize| fields.get(number - 3)?.parse().ok();
    Some(Stat {
        name: name.to_owned(),
        major_faults: field(12)?,
        user: field(14)?,
        system: field(15)?,
        threads: field(20)?,
        started: field(22)?,
        virtual_size: field(23)?,
        resident: field(24)?,
    })
}

/// `status` of a process or a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// The most that was ever in RAM, bytes.
    pub resident_peak: Option<u64>,
    /// Memory in swap, bytes.
    pub swapped: Option<u64>,
    /// Context switches of this thread alone, because it waited.
    pub voluntary_switches: Option<u64>,
    /// Because another was to run.
    pub involuntary_switches: Option<u64>,
}

/// Reads `status`.
pub fn status(text: &str) -> Status {
    let kilobytes = |text: &str| text.strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024);
    Status {
        resident_peak: value(text, "VmHWM").and_then(kilobytes),
        swapped: value(text, "VmSwap").and_then(kilobytes),
        voluntary_switches: value(text, "voluntary_ctxt_switches").and_then(|text| text.parse().ok()),
        involuntary_switches: value(text, "nonvoluntary_ctxt_switches").and_then(|text| text.parse().ok()),
    }
}

/// Time a thread was ready and waited for a CPU, nanoseconds: the second number of `schedstat`.
pub fn waited(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Bytes read from and written to disk: `io`.
pub fn io(text: &str) -> Option<(u64, u64)> {
    let number = |key| value(text, key)?.parse().ok();
    Some((number("read_bytes")?, number("write_bytes")?))
}

/// How many files may be open: `limits`. Nothing if there is no limit.
pub fn open_files_limit(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The value of a line `key: value`.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAT: &str = "4242 (b-msg) (x) hand) S 1 4242 4242 0 -1 4194560 91234 0 17 0 12345 678 0 0 20 0 23 0 987654 \
                        2147483648 131072 18446744073709551615 1 1 0 0 0 0 0 4096 17666 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn stat_is_read_whatever_the_name() {
        let expect = Stat {
            name: "b-msg) (x) hand".into(),
            major_faults: 17,
            user: 12345,
            system: 678,
            threads: 23,
            started: 987_654,
            virtual_size: 2_147_483_648,
            resident: 131_072,
        };
        assert_eq!(stat(STAT), Some(expect));
        assert_eq!(stat("1 (short) S 1"), None);
        assert_eq!(stat(""), None);
        assert_eq!(stat(")("), None);
    }

    #[test]
    fn status_is_read() {
        let text = "Name:\tbitcoind\nVmHWM:\t  912345 kB\nVmSwap:\t       0 kB\nvoluntary_ctxt_switches:\t150545\n\
                    nonvoluntary_ctxt_switches:\t545\n";
        let expect = Status {
            resident_peak: Some(912_345 * 1024),
            swapped: Some(0),
            voluntary_switches: Some(150_545),
            involuntary_switches: Some(545),
        };
        assert_eq!(status(text), expect);
        // a thread of the kernel has no memory of its own
        assert_eq!(status("Name:\tkthreadd\n"), Status::default());
        assert_eq!(status("VmHWM: 99999999999999999999 kB\nVmSwap: 18446744073709551615 kB"), Status::default());
    }

    #[test]
    fn the_others_are_read() {
        assert_eq!(waited("4555353 123 17\n"), Some(123));
        assert_eq!(waited("4555353"), None);
        let text = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n";
        assert_eq!(io(text), Some((4096, 8192)));
        assert_eq!(io("read_bytes: 1"), None);
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(open_files_limit(limits), Some(1024));
        assert_eq!(open_files_limit("Max open files            unlimited            unlimited            files"), None);
        assert_eq!(open_files_limit(""), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text: String, numbers in prop::collection::vec("-?[0-9]{0,25}", 0..60)) {
            let numbers = numbers.join(" ");
            for text in [text.clone(), format!("1 (a) {text}"), format!("1 (a) S {numbers}"), format!("VmHWM:{numbers} kB"), numbers] {
                let _ = (stat(&text), status(&text), waited(&text), io(&text), open_files_limit(&text));
            }
        }
    }
}
