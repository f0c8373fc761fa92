//! Bytes of the SSH protocols: numbers, and texts with their length before them (RFC 4251, section 5).

/// Reads fields one by one; `None` when they are cut off.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    /// A positive integer, with zeros before it up to this length.
    pub fn integer(&mut self, length: usize) -> Option<Vec<u8>> {
        let bytes: Vec<u8> = self.text()?.iter().copied().skip_while(|byte| *byte == 0).collect();
        let missing = length.checked_sub(bytes.len())?;
        Some([vec![0; missing], bytes].concat())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Writes fields one after another.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    pub fn number(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// A text shorter than 4 GiB.
    pub fn text(self, text: &[u8]) -> Self {
        let mut written = self.number(u32::try_from(text.len()).unwrap_or(u32::MAX));
        written.0.extend(text);
        written
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}
