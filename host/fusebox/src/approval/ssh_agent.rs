//! Asking an ssh-agent for a signature (draft-ietf-sshm-ssh-agent).

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::ssh::SshKey;
use super::ssh_wire::{Reader, Writer};

const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// Asks for SHA-512 instead of SHA-1 of an RSA key.
const RSA_SHA2_512: u32 = 4;
/// Largest answer, in bytes.
const MAX_ANSWER: u32 = 256 * 1024;
/// Time to touch a token or type its PIN.
const PATIENCE: Duration = Duration::from_secs(120);

/// The signature of a key over these bytes, by the agent that listens at a socket.
///
/// # Errors
/// A message, when there is no agent, it lacks the key, or it refuses.
pub fn sign(socket: &Path, key: &SshKey, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("the ssh-agent at {} does not answer: {error}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let flags = if key.is_rsa() { RSA_SHA2_512 } else { 0 };
    let request = Writer::default().byte(SIGN_REQUEST).text(key.blob()).text(bytes).number(flags).finish();
    stream.write_all(&Writer::default().text(&request).finish()).map_err(failed)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(failed)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_ANSWER {
        return Err("the ssh-agent gives an answer that is too long".to_owned());
    }
    let mut answer = vec![0; usize::try_from(length).unwrap_or_default()];
    stream.read_exact(&mut answer).map_err(failed)?;
    let mut fields = Reader::new(&answer);
    match (fields.byte(), fields.text()) {
        (Some(SIGN_RESPONSE), Some(signature)) => Ok(signature.to_vec()),
        _ => {
            Err("the ssh-agent does not sign with this key: is it loaded (`ssh-add -l`), and was it confirmed?"
                .to_owned())
        }
    }
}
