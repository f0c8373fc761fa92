//! The part of a process's output that is kept.

/// Start and end of a stream of bytes.
pub struct Kept {
    half: usize,
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    size: u64,
}

impl Kept {
    pub fn new(keep: usize) -> Self {
        Self { half: keep / 2, head: Vec::new(), tail: std::collections::VecDeque::new(), size: 0 }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest.iter().skip(rest.len().saturating_sub(self.half)));
        self.tail.drain(..self.tail.len().saturating_sub(self.half));
    }

    /// The kept output, with a remark on the omitted part, and the total size.
    pub fn finish(self) -> (Vec<u8>, u64) {
        let left_out = self.size.saturating_sub((self.head.len() + self.tail.len()) as u64);
        let mut kept = self.head;
        if left_out > 0 {
            kept.extend(format!("\n[… {left_out} bytes left out …]\n").bytes());
        }
        kept.extend(self.tail);
        (kept, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_and_end_are_kept() {
        let mut kept = Kept::new(8);
        for chunk in ["ab", "cdef", "", "ghijklmnop"] {
            kept.push(chunk.as_bytes());
        }
        let (bytes, size) = kept.finish();
        assert_eq!(String::from_utf8(bytes).unwrap(), "abcd\n[… 8 bytes left out …]\nmnop");
        assert_eq!(size, 16);
        let mut short = Kept::new(8);
        short.push(b"abcdefgh");
        assert_eq!(short.finish(), (b"abcdefgh".to_vec(), 8));
    }
}
