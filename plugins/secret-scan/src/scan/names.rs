//! Names of settings that hold secrets, and values that are none.

/// Ends of names of settings that hold secrets, without `_`, `-` and `.`, in lower case.
pub static SECRET_NAMES: [&str; 41] = [
    "accesskey",
    "accesstoken",
    "accountkey",
    "adminkey",
    "apikey",
    "apisecret",
    "appkey",
    "authkey",
    "authtoken",
    "bearer",
    "clientsecret",
    "consumerkey",
    "consumersecret",
    "credential",
    "credentials",
    "dbpass",
    "dbpwd",
    "deploykey",
    "encryptionkey",
    "hmackey",
    "jwtkey",
    "licensekey",
    "masterkey",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "secret",
    "secretaccesskey",
    "secretkey",
    "secretkeybase",
    "servicekey",
    "sessionkey",
    "sharedaccesskey",
    "signature",
    "signingkey",
    "storagekey",
    "token",
    "userpass",
    "webhookurl",
];

/// Ends of names of which the value is a password, whatever it is made of.
pub static PASSWORD_NAMES: [&str; 7] = ["dbpass", "dbpwd", "passphrase", "passwd", "password", "pwd", "userpass"];

/// Words before `token`, `key` and their kind by which they are no secrets.
pub static HARMLESS_NAMES: [&str; 26] = [
    "nexttoken",
    "pagetoken",
    "nextpagetoken",
    "continuationtoken",
    "synctoken",
    "cursortoken",
    "starttoken",
    "endtoken",
    "tokentype",
    "csstoken",
    "designtoken",
    "idempotencytoken",
    "cancellationtoken",
    "canceltoken",
    "publickey",
    "publickeytoken",
    "csrftoken",
    "xsrftoken",
    "currenttoken",
    "lasttoken",
    "prevtoken",
    "peektoken",
    "eoftoken",
    "othertoken",
    "methodsignature",
    "typesignature",
];

/// Words that stand where a secret will be.
static PLACEHOLDERS: [&str; 30] = [
    "example",
    "changeme",
    "change_me",
    "change-me",
    "placeholder",
    "your",
    "xxxx",
    "****",
    "....",
    "dummy",
    "redacted",
    "<",
    "${",
    "{{",
    "$(",
    "%(",
    "none",
    "todo",
    "insert",
    "replace",
    "sample",
    "fake",
    "mock",
    "lorem",
    "undefined",
    "not-a-real",
    "notreal",
    "my-secret",
    "mysecret",
    "foobar",
];

/// Words that are no secrets when only digits and signs stand beside them: what tests and documents put there.
static WEAK: [&str; 30] = [
    "abc", "admin", "asdf", "bar", "baz", "default", "demo", "false", "foo", "guest", "hello", "key", "letmein",
    "null", "optional", "pass", "passwd", "password", "qwerty", "required", "root", "secret", "string", "test",
    "testing", "token", "true", "user", "value", "world",
];

/// Parts of credentials that issuers publish in their documentation.
static DOCUMENTED: [&[u8]; 12] = [
    b"EXAMPLE",
    b"example",
    b"xxxxxxxx",
    b"XXXXXXXX",
    b"0123456789abcdef0123456789abcdef",
    b"1234567890abcdef",
    b"abcdefghijklmnop",
    b"ABCDEFGHIJKLMNOP",
    b"4eC39HqLyjWDarjtT1zdp7dc",
    b"BQokikJOvBiI2HlWgH4olfQ2",
    b"eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9l",
    b"DaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe",
];

/// Whether a credential is one of those in an issuer's documentation.
pub fn is_documented(token: &[u8]) -> bool {
    DOCUMENTED.iter().any(|known| token.windows(known.len()).any(|window| window == *known))
}

/// Whether a value only marks the place of a secret.
pub fn is_placeholder(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    let letters: Vec<u8> = lower.iter().copied().filter(u8::is_ascii_alphabetic).collect();
    PLACEHOLDERS.iter().any(|word| lower.windows(word.len()).any(|window| window == word.as_bytes()))
        || WEAK.iter().any(|word| word.as_bytes() == letters)
}

/// Whether a name ends in a known one, whatever its case, and with or without `_`, `-` and `.`.
pub fn ends_in(name: &[u8], known: &[&str]) -> bool {
    let Some(last) = name.last().map(u8::to_ascii_lowercase) else { return false };
    let ends = |known: &&str| {
        // Most names are ruled out by their last letters.
        if known.as_bytes().last() != Some(&last) {
            return false;
        }
        let mut letters = name.iter().rev().filter(|byte| !b"_-.".contains(byte));
        known.bytes().rev().all(|wanted| letters.next().is_some_and(|byte| byte.to_ascii_lowercase() == wanted))
    };
    known.iter().any(ends)
}
