//! A buffer in a box whose memory is used again.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use crate::buffer::{Buffer, Payload};

/// Boxes that move between a thread and the common shelf at a time: enough that its lock is rarely taken.
const BUNDLE: usize = 64;
/// Boxes that a thread keeps: a bundle to give and a bundle to take, so that neither side of the edge costs a lock.
const MAX_KEPT: usize = 2 * BUNDLE;
/// Bundles on the shelf, beyond which memory goes back to the allocator: 2,048 boxes, below half a megabyte.
const MAX_BUNDLES: usize = 32;

type Bundle = Vec<Box<Buffer>>;

thread_local! {
    static KEPT: RefCell<Bundle> = const { RefCell::new(Vec::new()) };
}

static SHELF: Mutex<Vec<Bundle>> = Mutex::new(Vec::new());

/// An owned [`Buffer`] behind one word.
///
/// Works like a `Box`. Where two tasks meet, one thread makes boxes all the time and another drops them, which is the slowest
/// thing one can ask of an allocator: every box is a fight over the maker's arena. So a dropped box is emptied and kept
/// for the next buffer, and surplus boxes travel back in bundles (`docs/decisions/0012-recycled-buffer-boxes.md`).
#[derive(PartialEq)]
pub struct BufferBox(
    /// `None` only while being dropped or unwrapped.
    Option<Box<Buffer>>,
);

impl BufferBox {
    /// Boxes a buffer.
    #[inline]
    pub fn new(buffer: Buffer) -> Self {
        // During the end of a thread there is nothing kept any more.
        let kept = KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
        let Some(mut empty) = kept.or_else(lend) else { return Self(Some(Box::new(buffer))) };
        *empty = buffer;
        Self(Some(empty))
    }

    /// The buffer without its box.
    pub fn into_inner(mut self) -> Buffer {
        std::mem::take(&mut *self)
    }
}

/// Takes a bundle from the shelf and the first box of it.
#[cold]
fn lend() -> Option<Box<Buffer>> {
    let mut bundle = SHELF.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
    let first = bundle.pop();
    // An error means that the thread ends; the rest goes back to the allocator.
    let _ = KEPT.try_with(|kept| *kept.borrow_mut() = bundle);
    first
}

/// Keeps an empty box for the next buffer.
fn keep(kept: &mut Bundle, empty: Box<Buffer>) {
    if kept.len() == MAX_KEPT {
        give_back(kept.split_off(BUNDLE));
    }
    kept.push(empty);
}

#[cold]
fn give_back(bundle: Bundle) {
    let mut shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
    if shelf.len() < MAX_BUNDLES {
        shelf.push(bundle);
    }
}

impl Drop for BufferBox {
    fn drop(&mut self) {
        if let Some(mut full) = self.0.take() {
            // What the buffer held goes now, not when the box is used again.
            full.payload = Payload::new();
            // An error means that the thread ends; the box goes back to the allocator with the closure.
            let _ = KEPT.try_with(move |kept| keep(&mut kept.borrow_mut(), full));
        }
    }
}

impl Deref for BufferBox {
    type Target = Buffer;

    fn deref(&self) -> &Buffer {
        self.0.as_deref().expect("a buffer until it is dropped")
    }
}

impl DerefMut for BufferBox {
    fn deref_mut(&mut self) -> &mut Buffer {
        self.0.as_deref_mut().expect("a buffer until it is dropped")
    }
}

impl Clone for BufferBox {
    fn clone(&self) -> Self {
        Self::new(Buffer::clone(self))
    }
}

impl From<Buffer> for BufferBox {
    fn from(buffer: Buffer) -> Self {
        Self::new(buffer)
    }
}

impl fmt::Debug for BufferBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Buffer::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_a_dropped_box_held_is_gone_at_once() {
        let bytes = Bytes::from(vec![1; 100]);
        let boxed = BufferBox::new(Buffer::new(bytes.clone()));
        assert!(!bytes.is_unique());
        drop(boxed);
        assert!(bytes.is_unique());
        let next = BufferBox::new(Buffer::default());
        assert_eq!(*next, Buffer::default(), "nothing of the buffer before");
    }

    #[test]
    fn a_box_is_used_again_on_the_same_thread() {
        let boxed = BufferBox::new(Buffer::new(vec![1]));
        let address = std::ptr::from_ref(&*boxed);
        assert_eq!(boxed.into_inner(), Buffer::new(vec![1]));
        assert_eq!(std::ptr::from_ref(&*BufferBox::new(Buffer::default())), address);
    }

    #[test]
    fn boxes_come_back_from_the_thread_that_drops_them() {
        let (sender, receiver) = std::sync::mpsc::sync_channel::<BufferBox>(BUNDLE);
        let dropper = std::thread::spawn(move || receiver.into_iter().for_each(drop));
        let mut addresses = std::collections::HashSet::new();
        let count = 100 * BUNDLE;
        for _ in 0..count {
            let boxed = BufferBox::new(Buffer::default());
            addresses.insert(std::ptr::from_ref(&*boxed) as usize);
            sender.send(boxed).expect("the other thread listens");
        }
        drop(sender);
        dropper.join().expect("no panic");
        assert!(addresses.len() < count / 4, "{} boxes for {count} buffers", addresses.len());
    }

    #[test]
    fn a_thread_that_drops_much_does_not_keep_it_all() {
        let all: Vec<BufferBox> = (0..10 * MAX_KEPT).map(|_| Buffer::default().into()).collect();
        drop(all);
        KEPT.with(|kept| assert!(kept.borrow().len() <= MAX_KEPT));
        assert!(SHELF.lock().unwrap().len() <= MAX_BUNDLES);
    }
}
