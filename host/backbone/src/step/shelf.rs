//! Memory for weights, in large pages where the system has them.
//!
//! A step reads all weights once. In pages of 4 kB a CPU forgets where one is before it is read again, and on some to look it up takes
//! as long as to read it.

use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};

use crate::BackboneError;

/// Bytes that are asked for at once, many large pages. What of them is not written to costs nothing.
const ROOM: usize = 64 << 20;

/// Where weights are put, those of one matrix after those of another: most are smaller than a large page.
#[derive(Default)]
pub(super) struct Shelf {
    last: Option<Arc<MmapRaw>>,
    /// Bytes of `last` that are taken.
    taken: usize,
}

/// Weights on a [`Shelf`].
#[derive(Debug)]
pub(super) struct Shelved<T> {
    items: NonNull<[T]>,
    /// Where they are: as long as it lives, so do they.
    _room: Arc<MmapRaw>,
}

// SAFETY: nothing writes to the items.
unsafe impl<T: Sync> Sync for Shelved<T> {}
// SAFETY: likewise.
unsafe impl<T: Sync> Send for Shelved<T> {}

impl Shelf {
    /// Moves the items there.
    pub(super) fn put<T: Copy>(&mut self, items: &[T]) -> Result<Shelved<T>, BackboneError> {
        let bytes = size_of_val(items);
        let from = self.taken.next_multiple_of(align_of::<T>());
        let (room, from) = match self.last.take() {
            Some(room) if from + bytes <= room.len() => (room, from),
            _ => (Arc::new(large_pages(bytes.max(ROOM))?), 0),
        };
        // SAFETY: so many bytes are there from here on, of which no other `Shelved` has any. A page is aligned for every `T`.
        let items = unsafe {
            let place = room.as_mut_ptr().add(from).cast::<T>();
            place.copy_from_nonoverlapping(items.as_ptr(), items.len());
            NonNull::slice_from_raw_parts(NonNull::new_unchecked(place), items.len())
        };
        self.taken = from + bytes;
        self.last = Some(Arc::clone(&room));
        Ok(Shelved { items, _room: room })
    }
}

fn large_pages(bytes: usize) -> Result<MmapRaw, BackboneError> {
    let mapped = MmapOptions::new().len(bytes).map_anon();
    let room = MmapRaw::from(mapped.map_err(|source| BackboneError::Memory { bytes, source })?);
    // Where it cannot be had, small pages do as well.
    #[cfg(target_os = "linux")]
    let _ = room.advise(memmap2::Advice::HugePage);
    Ok(room)
}

impl<T> Deref for Shelved<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: they were written before this was made, and nothing writes to them after.
        unsafe { self.items.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::{ROOM, Shelf};

    #[repr(align(64))]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Line([u8; 64]);

    #[test]
    fn what_is_put_there_stays_when_the_shelf_is_gone() {
        let mut shelf = Shelf::default();
        let bytes: Vec<u8> = (0..=100).collect();
        let lines: Vec<_> = (0..9).map(|line| Line([line; 64])).collect();
        let many = vec![7_u64; ROOM / 8];
        let found = (
            shelf.put(&bytes).expect("memory"),
            shelf.put(&lines).expect("memory"),
            shelf.put(&many).expect("memory"),
            shelf.put::<Line>(&[]).expect("memory"),
        );
        drop(shelf);
        assert_eq!(
            (&found.0[..], &found.1[..], &found.2[..]),
            (&bytes[..], &lines[..], &many[..])
        );
        assert!(found.1.as_ptr().is_aligned() && found.3.is_empty());
        // One after the other, but for what does not fit any more.
        assert_eq!(found.1.as_ptr().addr() - found.0.as_ptr().addr(), 128);
    }
}
