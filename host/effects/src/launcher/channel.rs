//! Messages between the host, the launcher and the first process of a sandbox: JSON with its length before it.

use std::io::{Error, ErrorKind, Read, Result, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest message, in bytes: arguments and environment are bounded by the kernel.
const MAX_BYTES: u32 = 8 * 1024 * 1024;

pub fn encode(message: &impl Serialize) -> Result<Vec<u8>> {
    let body = serde_json::to_vec(message).map_err(Error::other)?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length <= MAX_BYTES);
    let length = length.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "the message is too long"))?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(body);
    Ok(bytes)
}

pub fn send(mut to: impl Write, message: &impl Serialize) -> Result<()> {
    to.write_all(&encode(message)?)
}

pub fn receive<T: DeserializeOwned>(mut from: impl Read) -> Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MAX_BYTES {
        return Err(Error::new(ErrorKind::InvalidData, "the message is too long"));
    }
    let mut body = vec![0; length as usize];
    from.read_exact(&mut body)?;
    serde_json::from_slice(&body).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_and_a_bad_one_does_not() {
        let bytes = encode(&"hello").unwrap();
        assert_eq!(receive::<String>(bytes.as_slice()).unwrap(), "hello");
        assert!(receive::<String>(&bytes[..5]).is_err());
        assert!(receive::<String>(&[255, 255, 255, 255, 0][..]).is_err());
        assert!(receive::<u8>(bytes.as_slice()).is_err());
    }
}
