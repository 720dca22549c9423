//! Copies of what adapters were loaded from, on disk, so that one that was put out of memory comes back as exactly what it was,
//! whatever became of its bundle.
//!
//! They are in one file that has no name: nobody else can change it or clean it up, and it is gone with the process, however that
//! ends.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sha2::{Digest as _, Sha256};

type Digest = [u8; 32];

/// The copies. Equal ones are kept once.
pub(crate) struct Spill {
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: Result<File>,
    /// Where the file ends.
    end: u64,
    /// Room of copies that are gone: by its length, where it begins.
    free: BTreeMap<u64, Vec<u64>>,
    known: HashMap<Digest, Weak<Kept>>,
    /// Bytes of copies for which there is no room on disk.
    in_memory: u64,
    /// Whether the last copy could not be written, which is said once.
    is_full: bool,
}

/// One copy, as long as anybody wants it.
pub(crate) struct Kept {
    spill: Arc<Spill>,
    digest: Digest,
    length: usize,
    room: Room,
    /// Whether it could not be read. Then neither it nor its room is used again.
    is_lost: AtomicBool,
}

enum Room {
    File { begin: u64, length: u64 },
    Memory(Vec<u8>),
}

impl Spill {
    /// A file in this directory, which is made where it is not there, or else among the system's temporary files.
    pub(crate) fn new(dir: Option<&Path>) -> Self {
        let among_temporary = || {
            let dir = std::env::temp_dir();
            (tempfile::tempfile_in(&dir), dir)
        };
        let (file, dir) = match dir.map(|dir| (open(dir), dir)) {
            Some((Ok(file), dir)) => (Ok(file), dir.to_owned()),
            Some((Err(_), _)) | None => among_temporary(),
        };
        Self {
            dir,
            state: Mutex::new(State {
                file,
                end: 0,
                free: BTreeMap::new(),
                known: HashMap::new(),
                in_memory: 0,
                is_full: false,
            }),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes of copies that are in memory, since they could not be written.
    pub(crate) fn in_memory(&self) -> u64 {
        self.state().in_memory
    }

    /// Keeps a copy: on disk if that is possible, else in memory, since nothing may be lost.
    pub(crate) fn keep(self: &Arc<Self>, bytes: &[u8]) -> Arc<Kept> {
        let digest = Sha256::digest(bytes).into();
        let mut state = self.state();
        if let Some(kept) = state.known.get(&digest).and_then(Weak::upgrade) {
            return kept;
        }
        let room = match state.write(bytes) {
            Ok(room) => {
                state.is_full = false;
                room
            }
            Err(error) => {
                if !std::mem::replace(&mut state.is_full, true) {
                    tracing::warn!(
                        dir = %self.dir.display(), %error,
                        "adapters cannot be copied to disk: copies stay in memory, beyond the budget for adapters"
                    );
                }
                state.in_memory += bytes.len() as u64;
                Room::Memory(bytes.to_vec())
            }
        };
        let kept = Arc::new(Kept {
            spill: self.clone(),
            digest,
            length: bytes.len(),
            room,
            is_lost: AtomicBool::new(false),
        });
        state.known.insert(digest, Arc::downgrade(&kept));
        kept
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in there can panic between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(dir: &Path) -> Result<File> {
    std::fs::create_dir_all(dir)?;
    tempfile::tempfile_in(dir)
}

impl State {
    fn file(&mut self) -> Result<&mut File> {
        // An `io::Error` cannot be cloned.
        self.file
            .as_mut()
            .map_err(|error| Error::new(error.kind(), error.to_string()))
    }

    /// Into the smallest free room that is large enough, or at the end.
    fn write(&mut self, bytes: &[u8]) -> Result<Room> {
        let needed = bytes.len() as u64;
        let free = self.free.range(needed..).next();
        let free = free.and_then(|(&length, begins)| Some((*begins.last()?, length)));
        let (begin, length) = free.unwrap_or((self.end, needed));
        let file = self.file()?;
        file.seek(SeekFrom::Start(begin))?;
        file.write_all(bytes)?;
        match free {
            Some(_) => {
                let begins = self.free.entry(length).or_default();
                begins.pop();
                if begins.is_empty() {
                    self.free.remove(&length);
                }
            }
            None => self.end += length,
        }
        Ok(Room::File { begin, length })
    }

    fn read(&mut self, begin: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let file = self.file()?;
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl Kept {
    pub(crate) fn spill(&self) -> &Spill {
        &self.spill
    }

    /// The bytes that were kept, and no others. After an error the same bytes are kept anew the next time.
    ///
    /// # Errors
    /// What the disk says; [`ErrorKind::InvalidData`] where it gives other bytes.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        let read = self.checked();
        if read.is_err() && !self.is_lost.swap(true, Ordering::Relaxed) {
            self.spill.state().known.remove(&self.digest);
        }
        read
    }

    fn checked(&self) -> Result<Vec<u8>> {
        let bytes = match &self.room {
            Room::Memory(bytes) => bytes.clone(),
            Room::File { begin, .. } => self.spill.state().read(*begin, self.length)?,
        };
        let found: Digest = Sha256::digest(&bytes).into();
        if found != self.digest {
            let (expected, found) = (hex::encode(self.digest), hex::encode(found));
            let message =
                format!("the disk gives other bytes than were written: SHA-256 {found} instead of {expected}");
            return Err(Error::new(ErrorKind::InvalidData, message));
        }
        Ok(bytes)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut state = self.spill.state();
        match &self.room {
            Room::File { .. } if self.is_lost.load(Ordering::Relaxed) => {}
            Room::File { begin, length } => state.free.entry(*length).or_default().push(*begin),
            Room::Memory(bytes) => state.in_memory -= bytes.len() as u64,
        }
        // The same bytes may have been kept again meanwhile.
        if state
            .known
            .get(&self.digest)
            .is_some_and(|kept| kept.strong_count() == 0)
        {
            state.known.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Seek, SeekFrom, Write};
    use std::sync::Arc;

    use super::{Room, Spill};

    fn spill() -> (tempfile::TempDir, Arc<Spill>) {
        let dir = tempfile::tempdir().expect("a directory");
        let spill = Arc::new(Spill::new(Some(&dir.path().join("new"))));
        (dir, spill)
    }

    fn end(spill: &Spill) -> u64 {
        spill.state().end
    }

    #[test]
    fn copies_come_back_as_they_were_and_nobody_sees_them() {
        let (dir, spill) = spill();
        let copies = [&b"one"[..], b"", b"three"].map(|bytes| (bytes, spill.keep(bytes)));
        for (bytes, kept) in &copies {
            assert_eq!(kept.read().expect("it is there"), *bytes);
        }
        assert_eq!(end(&spill), 8);
        let seen = std::fs::read_dir(dir.path().join("new")).expect("it was made");
        assert_eq!(seen.count(), 0);
    }

    #[test]
    fn equal_copies_are_one_and_room_is_used_again() {
        let (_dir, spill) = spill();
        let (one, same) = (spill.keep(b"12345"), spill.keep(b"12345"));
        assert!(Arc::ptr_eq(&one, &same));
        let last = spill.keep(b"after it");
        drop((one, same));
        let shorter = spill.keep(b"1234");
        let longer = spill.keep(b"123456");
        assert_eq!(
            end(&spill),
            5 + 8 + 6,
            "the shorter one is where there was room, the longer one is not"
        );
        for (kept, bytes) in [(&last, &b"after it"[..]), (&shorter, b"1234"), (&longer, b"123456")] {
            assert_eq!(kept.read().expect("it is there"), bytes);
        }
        drop((last, shorter, longer));
        assert!(spill.state().known.is_empty());
        let again = spill.keep(b"12345");
        assert_eq!(end(&spill), 5 + 8 + 6);
        assert_eq!(again.read().expect("it is there"), b"12345");
    }

    #[test]
    fn bytes_that_the_disk_lost_are_not_given_out() {
        let (_dir, spill) = spill();
        let kept = spill.keep(b"some bytes");
        let harm = |with: &dyn Fn(&mut std::fs::File) -> std::io::Result<()>| {
            with(spill.state().file().expect("a file")).expect("it can be written");
            kept.read().expect_err("it is not what it was").kind()
        };
        let changed = harm(&|file| {
            file.seek(SeekFrom::Start(3))?;
            file.write_all(b"X")
        });
        assert_eq!(changed, ErrorKind::InvalidData);
        assert_eq!(harm(&|file| file.set_len(4)), ErrorKind::UnexpectedEof);

        let anew = spill.keep(b"some bytes");
        drop(kept);
        assert_eq!(anew.read().expect("it is elsewhere"), b"some bytes");
        assert!(Arc::ptr_eq(&anew, &spill.keep(b"some bytes")));
        assert!(spill.state().free.is_empty(), "where it was nothing is kept again");
    }

    #[test]
    fn where_the_disk_takes_nothing_copies_stay_in_memory() {
        let (_dir, spill) = spill();
        // A file that is open for reading takes no more than a full disk.
        let full = std::fs::File::open("/dev/null");
        let before = spill.keep(b"before");
        let file = std::mem::replace(&mut spill.state().file, full);
        let kept = spill.keep(b"some bytes");
        assert!(matches!(kept.room, Room::Memory(_)) && spill.in_memory() == 10);
        assert_eq!(kept.read().expect("it is in memory"), b"some bytes");
        spill.state().file = file;
        assert_eq!(before.read().expect("it is on disk"), b"before");
        drop(kept);
        assert_eq!(spill.in_memory(), 0);
        assert!(
            matches!(spill.keep(b"some bytes").room, Room::File { .. }),
            "there is room again"
        );
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_left_for_the_temporary_files() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let spill = Arc::new(Spill::new(Some(file.path())));
        assert_eq!(spill.dir(), std::env::temp_dir());
        let kept = spill.keep(b"some bytes");
        assert!(matches!(kept.room, Room::File { .. }), "not in memory");
    }
}
