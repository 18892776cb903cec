//! Asks filesystems for their fill without ever being held up by one that hangs.
//!
//! A dead network server can keep `statvfs` in the kernel for ever, and a thread in there cannot be
//! stopped. So a thread of its own asks one mount after the other; if it does not answer in time
//! the mount is remembered as stuck and left to that thread, and a new one goes on with the rest.
//! When the call returns at last, the old thread takes the mount off the list and ends. There is
//! never more than one waiting thread per mount.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Fill of one filesystem.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Usage {
    pub(super) size_bytes: f64,
    pub(super) free_bytes: f64,
    pub(super) avail_bytes: f64,
    pub(super) files: f64,
    pub(super) files_free: f64,
}

/// What became of one question.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Usage(Usage),
    /// The system refused, with its words.
    Failed(String),
    /// No answer yet, from this or an earlier question.
    Stuck,
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For one mount.
    pub(super) each: Duration,
    /// For all of them; what is not asked by then counts as stuck this once.
    pub(super) total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // The default scrape timeout is 10 s.
        Self {
            each: Duration::from_secs(2),
            total: Duration::from_secs(4),
        }
    }
}

/// The question: `statvfs`, or a stand-in for it.
pub(super) type Ask = fn(&Path) -> Answer;

/// Remembers which mounts do not answer.
#[derive(Debug, Default)]
pub(crate) struct Prober {
    stuck: Arc<Stuck>,
    /// One round at a time, so that two of them do not wait for the same mount.
    round: Mutex<()>,
}

#[derive(Debug, Default)]
struct Stuck(Mutex<BTreeSet<PathBuf>>);

impl Stuck {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prober {
    /// One answer for each path, in order. Takes no longer than `limits.total` plus
    /// `limits.each`.
    pub(super) fn ask(&self, paths: Vec<PathBuf>, ask: Ask, limits: Limits) -> Vec<Answer> {
        let _round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answers = vec![Answer::Stuck; paths.len()];
        let mut jobs: Vec<(usize, PathBuf)> = {
            let stuck = self.stuck.lock();
            paths
                .into_iter()
                .enumerate()
                .filter(|(_, path)| !stuck.contains(path))
                .collect()
        };
        let start = Instant::now();
        while !jobs.is_empty() && start.elapsed() < limits.total {
            let done = match self.run(&jobs, ask, limits.each, &mut answers) {
                Ok(done) => done,
                Err(e) => {
                    for (at, _) in &jobs {
                        answers[*at] = Answer::Failed(format!("no thread to ask it: {e}"));
                    }
                    break;
                }
            };
            // All of them, or up to and including one that is stuck now.
            jobs.drain(..(done + 1).min(jobs.len()));
        }
        answers
    }

    /// Lets a new thread work through `jobs` until one takes too long; how many were answered.
    fn run(
        &self,
        jobs: &[(usize, PathBuf)],
        ask: Ask,
        each: Duration,
        answers: &mut [Answer],
    ) -> std::io::Result<usize> {
        let (sender, receiver) = mpsc::channel();
        let paths: Vec<PathBuf> = jobs.iter().map(|(_, path)| path.clone()).collect();
        let stuck = Arc::clone(&self.stuck);
        thread::Builder::new()
            .name("host-statvfs".to_string())
            .spawn(move || work(&paths, ask, &sender, &stuck))?;
        let mut done = 0;
        while let Some((at, path)) = jobs.get(done) {
            let answer = match receiver.recv_timeout(each) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Disconnected) => break, // The question panicked.
                Err(RecvTimeoutError::Timeout) => {
                    // The thread answers under this lock, so it is either in time or too late.
                    let mut stuck = self.stuck.lock();
                    match receiver.try_recv() {
                        Ok(answer) => answer,
                        Err(_) => {
                            tracing::warn!(path = %path.display(), "filesystem does not answer");
                            stuck.insert(path.clone());
                            break;
                        }
                    }
                }
            };
            answers[*at] = answer;
            done += 1;
        }
        Ok(done)
    }
}

/// The thread that asks.
fn work(paths: &[PathBuf], ask: Ask, sender: &Sender<Answer>, stuck: &Stuck) {
    for path in paths {
        let answer = ask(path);
        let mut stuck = stuck.lock();
        if stuck.remove(path) {
            tracing::info!(path = %path.display(), "filesystem answers again");
            return;
        }
        if sender.send(answer).is_err() {
            return;
        }
    }
}

/// The real question.
pub(super) fn statvfs(path: &Path) -> Answer {
    match rustix::fs::statvfs(path) {
        Ok(s) => {
            let unit = s.f_frsize as f64;
            Answer::Usage(Usage {
                size_bytes: s.f_blocks as f64 * unit,
                free_bytes: s.f_bfree as f64 * unit,
                avail_bytes: s.f_bavail as f64 * unit,
                files: s.f_files as f64,
                files_free: s.f_ffree as f64,
            })
        }
        Err(e) => Answer::Failed(error_words(e)),
    }
}

/// `permission denied`: the system's words without the number, in the small letters of Go, because
/// they become a label value.
fn error_words(error: rustix::io::Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, LazyLock};

    use super::*;

    const SOON: Limits = Limits {
        each: Duration::from_millis(20),
        total: Duration::from_mins(1),
    };

    fn usage(size_bytes: f64) -> Answer {
        let zero = 0.0;
        Answer::Usage(Usage {
            size_bytes,
            free_bytes: zero,
            avail_bytes: zero,
            files: zero,
            files_free: zero,
        })
    }

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    /// True once the hung server is back.
    static GATE: LazyLock<(Mutex<bool>, Condvar)> = LazyLock::new(Default::default);

    fn ask(path: &Path) -> Answer {
        match path.to_str() {
            Some("hung") => {
                let (open, changed) = &*GATE;
                let _open = changed
                    .wait_while(open.lock().unwrap(), |open| !*open)
                    .unwrap();
                usage(3.0)
            }
            Some("bad") => Answer::Failed("no".to_string()),
            _ => usage(1.0),
        }
    }

    #[test]
    fn a_hung_mount_holds_up_nobody_and_comes_back() {
        let prober = Prober::default();
        let all = || paths(&["a", "hung", "bad", "b"]);
        let rest = [Answer::Failed("no".to_string()), usage(1.0)];

        let first = prober.ask(all(), ask, SOON);
        assert_eq!(first[..2], [usage(1.0), Answer::Stuck]);
        assert_eq!(first[2..], rest);
        // Not asked again while it hangs: even a limit of an hour is no wait.
        let hour = Duration::from_hours(1);
        let second = prober.ask(
            all(),
            ask,
            Limits {
                each: hour,
                total: hour,
            },
        );
        assert_eq!(second, first);

        *GATE.0.lock().unwrap() = true;
        GATE.1.notify_all();
        while !prober.stuck.lock().is_empty() {
            thread::yield_now();
        }
        let third = prober.ask(
            all(),
            ask,
            Limits {
                each: hour,
                total: hour,
            },
        );
        assert_eq!(third[..2], [usage(1.0), usage(3.0)]);
        assert_eq!(third[2..], rest);
    }

    #[test]
    fn a_question_that_panics_spoils_only_its_own_answer() {
        fn ask(path: &Path) -> Answer {
            assert!(path != Path::new("panics"), "as planned");
            usage(1.0)
        }
        let hour = Duration::from_hours(1);
        let limits = Limits {
            each: hour,
            total: hour,
        };
        let answers = Prober::default().ask(paths(&["a", "panics", "b"]), ask, limits);
        assert_eq!(answers, [usage(1.0), Answer::Stuck, usage(1.0)]);
    }

    #[test]
    fn nothing_is_asked_when_the_time_is_up() {
        let limits = Limits {
            each: Duration::from_hours(1),
            total: Duration::ZERO,
        };
        let answers = Prober::default().ask(paths(&["a", "b"]), ask, limits);
        assert_eq!(answers, [Answer::Stuck, Answer::Stuck]);
    }

    #[test]
    fn asks_the_system() {
        assert!(matches!(statvfs(Path::new("/")), Answer::Usage(u) if u.size_bytes > 0.0));
        let failed = statvfs(Path::new("/nonexistent"));
        assert_eq!(
            failed,
            Answer::Failed("no such file or directory".to_string())
        );
    }
}
