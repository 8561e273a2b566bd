//! The frames of a chat that some watcher has yet to read.

use std::collections::{BTreeMap, VecDeque};

use super::Frame;

/// Frames that a watcher may be behind, besides those of the open attempt.
const FRAMES_MAX: usize = 8192;

/// Bytes that a watcher may be behind, besides those of the open attempt.
const BYTES_MAX: usize = 8 << 20;

/// Frames handed out at once; the rest follows with the next call.
const FRAMES_PER_READ: usize = 1024;

/// A stretch of frames, numbered on, and how far each watcher has read. What all have read is let go; what the slowest has
/// not is kept within bounds, and beyond them it loses its place.
#[derive(Default)]
pub(super) struct Stretch {
    /// With what each of them weighs, in bytes.
    frames: VecDeque<(Frame, usize)>,
    /// The number of `frames[0]`.
    first: u64,
    bytes: usize,
    /// How many watchers read on from each number.
    places: BTreeMap<u64, usize>,
}

/// The reader's next frame is not kept any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost;

impl Stretch {
    /// The number of the next frame to come.
    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// Somebody begins to read, from the next frame on: from which number.
    pub(super) fn join(&mut self) -> u64 {
        let place = self.end();
        *self.places.entry(place).or_default() += 1;
        place
    }

    /// Whoever read from `place` on reads no more.
    pub(super) fn leave(&mut self, place: u64) {
        if let Some(watchers) = self.places.get_mut(&place) {
            *watchers -= 1;
            if *watchers == 0 {
                self.places.remove(&place);
            }
        }
        self.let_go();
    }

    /// Adds a frame of `bytes`. What belongs to the open attempt, so many frames and bytes, counts for no bound: its
    /// frames are kept anyway.
    pub(super) fn push(&mut self, frame: Frame, bytes: usize, open_frames: usize, open_bytes: usize) {
        self.frames.push_back((frame, bytes));
        self.bytes += bytes;
        let (frames_max, bytes_max) = (FRAMES_MAX.saturating_add(open_frames), BYTES_MAX.saturating_add(open_bytes));
        // The newest is kept, however large it is.
        while self.frames.len() > 1 && (self.frames.len() > frames_max || self.bytes > bytes_max) {
            self.drop_first();
        }
        self.let_go();
    }

    /// The frames that are ready for whoever reads from `place` on, and the new place; `None` where there are none.
    pub(super) fn read(&mut self, place: u64) -> Result<Option<(Vec<Frame>, u64)>, Lost> {
        let skip = usize::try_from(place.checked_sub(self.first).ok_or(Lost)?).unwrap_or(usize::MAX);
        if skip >= self.frames.len() {
            return Ok(None);
        }
        let frames: Vec<Frame> =
            self.frames.iter().skip(skip).take(FRAMES_PER_READ).map(|(frame, _)| frame.clone()).collect();
        let next = place + frames.len() as u64;
        *self.places.entry(next).or_default() += 1;
        self.leave(place);
        Ok(Some((frames, next)))
    }

    /// Forgets what everybody has read.
    fn let_go(&mut self) {
        let slowest = self.places.first_key_value().map_or(self.end(), |(place, _)| *place);
        while self.first < slowest && !self.frames.is_empty() {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, bytes)) = self.frames.pop_front() {
            self.bytes -= bytes;
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use verbatim_events::part::{LivePart, NumberedPart};

    use super::super::PartFrame;
    use super::*;

    fn frame(n: u64) -> Frame {
        let part = LivePart::TextDelta { text: "x".to_owned() };
        let part = NumberedPart { n, after_version: 1, part };
        Frame::Part(Arc::new(PartFrame { attempt_id: 1, part, rendered: OnceLock::new() }))
    }

    fn push(stretch: &mut Stretch, numbers: std::ops::Range<u64>, bytes: usize) {
        numbers.for_each(|n| stretch.push(frame(n), bytes, 0, 0));
    }

    /// The numbers of what is ready, and the place after it.
    fn read(stretch: &mut Stretch, place: u64) -> (Vec<u64>, u64) {
        let (frames, place) = stretch.read(place).expect("its place is kept").expect("there are frames");
        let number = |frame: &Frame| match frame {
            Frame::Part(part) => part.part.n,
            Frame::Event(_) => 0,
        };
        (frames.iter().map(number).collect(), place)
    }

    #[test]
    fn who_joins_reads_what_comes_after_in_order() {
        let mut stretch = Stretch::default();
        push(&mut stretch, 0..3, 1);
        let place = stretch.join();
        assert!(matches!(stretch.read(place), Ok(None)));
        push(&mut stretch, 3..1030, 1);
        let (first, place) = read(&mut stretch, place);
        assert_eq!(first, (3..1027).collect::<Vec<_>>());
        assert_eq!(read(&mut stretch, place).0, [1027, 1028, 1029]);
    }

    #[test]
    fn what_all_have_read_is_let_go() {
        let mut stretch = Stretch::default();
        push(&mut stretch, 0..10, 1);
        assert_eq!((stretch.frames.len(), stretch.bytes), (0, 0), "nobody reads");
        let (quick, slow) = (stretch.join(), stretch.join());
        push(&mut stretch, 10..20, 1);
        let (_, quick) = read(&mut stretch, quick);
        assert_eq!((stretch.frames.len(), stretch.bytes), (10, 10), "one has yet to read");
        push(&mut stretch, 20..25, 1);
        let (seen, slow) = read(&mut stretch, slow);
        assert_eq!(seen.len(), 15);
        assert_eq!(stretch.frames.len(), 5, "the other is behind now");
        stretch.leave(quick);
        assert_eq!((stretch.frames.len(), stretch.bytes), (0, 0));
        stretch.leave(slow);
        assert!(stretch.places.is_empty());
    }

    #[test]
    fn the_slowest_is_kept_within_frames_and_bytes_and_then_lost() {
        for (bytes, kept) in [(1, FRAMES_MAX), (BYTES_MAX / 4, 4), (BYTES_MAX * 2, 1)] {
            let mut stretch = Stretch::default();
            let place = stretch.join();
            push(&mut stretch, 0..kept as u64, bytes);
            assert_eq!(stretch.frames.len(), kept, "{bytes}");
            assert!(stretch.read(place).is_ok());
            let slow = stretch.join();
            push(&mut stretch, 0..kept as u64 + 1, bytes);
            assert!(stretch.frames.len() <= kept, "{bytes}");
            assert!(matches!(stretch.read(slow), Err(Lost)), "{bytes}");
        }
    }

    #[test]
    fn the_open_attempt_costs_nobody_a_place() {
        let mut stretch = Stretch::default();
        let place = stretch.join();
        let open = 2 * FRAMES_MAX;
        (0..open as u64).for_each(|n| stretch.push(frame(n), BYTES_MAX, open, usize::MAX));
        assert!(stretch.read(place).is_ok());
    }
}
