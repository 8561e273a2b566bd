//! Signatures: HMAC-SHA256 over `ID.TIMESTAMP.BODY`, in base64 behind `v1,`, as the Standard Webhooks specification has it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Marks a secret that is written in base64.
const PREFIX: &str = "whsec_";

/// The fewest bytes of a secret: what is shorter can be guessed.
const BYTES_MIN: usize = 16;

/// What a webhook is signed with. Never shown.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

impl Secret {
    /// Reads a secret: base64 behind `whsec_`, or any other text as it stands. What is wrong with it otherwise.
    pub fn parse(text: &str) -> Result<Secret, &'static str> {
        let bytes = match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| "is not base64 behind whsec_")?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.len() < BYTES_MIN {
            return Err("is too short: it must have at least 16 bytes");
        }
        Hmac::new_from_slice(&bytes).map(Secret).map_err(|_| "cannot be used")
    }

    /// The `webhook-signature` of a body that is sent at a moment, in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the specification's own libraries are tested with.
    #[test]
    fn a_known_message_has_its_known_signature() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_are_read_strictly_and_never_shown() {
        for wrong in ["", "short", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64 at all!"] {
            assert!(Secret::parse(wrong).is_err(), "{wrong:?}");
        }
        let plain = Secret::parse("a plain text, long enough").expect("a secret");
        let encoded = format!("whsec_{}", STANDARD.encode("a plain text, long enough"));
        let encoded = Secret::parse(&encoded).expect("a secret");
        assert_eq!(plain.sign("i", 1, b"x"), encoded.sign("i", 1, b"x"));
        assert_ne!(plain.sign("i", 1, b"x"), plain.sign("i", 2, b"x"));
        assert_eq!(format!("{plain:?}"), "Secret(***)");
    }
}
