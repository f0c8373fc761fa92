//! The allocator of plugins: a fixed arena first, the system's allocator afterwards.
//!
//! A fresh instance that calls `memory.grow` on its first allocation pays two `mprotect` calls and a TLB shoot-down,
//! about 6 µs of a 13 µs call. Most calls need a few KiB only, so they are served from memory the instance already has.
// An allocator cannot be written without `unsafe`; this file and the generated bindings are all there is of it here.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};

/// Bytes served before the memory grows.
const ARENA_BYTES: usize = 64 * 1024;

#[repr(align(16))]
struct Space(UnsafeCell<[u8; ARENA_BYTES]>);

/// A bump allocator over 64 KiB that falls back to the system's allocator when they are used up.
///
/// The export macros install it on wasm32. It is not for programs with threads.
pub struct Arena {
    space: Space,
    used: Cell<usize>,
}

// SAFETY: a wasm32 plugin has one thread; the export macros install this allocator on that target only.
unsafe impl Sync for Arena {}

impl Arena {
    /// An empty arena, for a `#[global_allocator]` static.
    #[must_use]
    pub const fn new() -> Self {
        Self { space: Space(UnsafeCell::new([0; ARENA_BYTES])), used: Cell::new(0) }
    }

    fn start(&self) -> *mut u8 {
        self.space.0.get().cast()
    }

    /// Offset of `pointer` in the arena; `None` when the system allocated it.
    fn offset(&self, pointer: *mut u8) -> Option<usize> {
        let offset = (pointer as usize).wrapping_sub(self.start() as usize);
        (offset < ARENA_BYTES).then_some(offset)
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every block is either a range of the arena above all earlier live ones, aligned as asked because the arena is
// aligned to 16 and larger alignments go to the system, or comes from the system's allocator and goes back to it.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = (self.used.get() + layout.align() - 1) & !(layout.align() - 1);
        match start.checked_add(layout.size()) {
            Some(end) if end <= ARENA_BYTES && layout.align() <= 16 => {
                self.used.set(end);
                // SAFETY: `start <= end <= ARENA_BYTES`.
                unsafe { self.start().add(start) }
            }
            // SAFETY: the caller's contract is passed on.
            _ => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match self.offset(pointer) {
            // The last block is given back; others stay until the instance ends.
            Some(offset) if offset + layout.size() == self.used.get() => self.used.set(offset),
            Some(_) => {}
            // SAFETY: it is not of the arena, so it came from the system.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(offset) = self.offset(pointer) else {
            // SAFETY: it is not of the arena, so it came from the system.
            return unsafe { System.realloc(pointer, layout, new_size) };
        };
        let is_last = offset + layout.size() == self.used.get();
        if new_size <= layout.size() || (is_last && offset.saturating_add(new_size) <= ARENA_BYTES) {
            if is_last {
                self.used.set(offset + new_size);
            }
            return pointer;
        }
        // SAFETY: the caller promises that the new size with this alignment is a valid layout.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(new_size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both blocks are live, do not overlap, and the old one is the smaller.
            unsafe { std::ptr::copy_nonoverlapping(pointer, moved, layout.size()) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_do_not_overlap_and_the_last_one_is_given_back() {
        let arena = Arena::new();
        let (a, b) = unsafe { (arena.alloc(layout(3, 1)), arena.alloc(layout(8, 8))) };
        assert_eq!(arena.offset(a), Some(0));
        assert_eq!(arena.offset(b), Some(8));
        unsafe { arena.dealloc(b, layout(8, 8)) };
        assert_eq!(arena.used.get(), 8);
    }

    #[test]
    fn growing_keeps_the_content_also_beyond_the_arena() {
        let arena = Arena::new();
        unsafe {
            let a = arena.alloc(layout(4, 1));
            a.copy_from_nonoverlapping(b"fuse".as_ptr(), 4);
            let pinned = arena.alloc(layout(1, 1));
            let b = arena.realloc(a, layout(4, 1), 100);
            assert_ne!(a, b);
            let c = arena.realloc(b, layout(100, 1), ARENA_BYTES * 2);
            assert_eq!(arena.offset(c), None);
            assert_eq!(std::slice::from_raw_parts(c, 4), b"fuse");
            arena.dealloc(c, layout(ARENA_BYTES * 2, 1));
            arena.dealloc(pinned, layout(1, 1));
        }
    }
}
