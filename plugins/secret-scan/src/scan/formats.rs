//! Formats of credentials: a prefix, then so many characters of an alphabet, as the issuers document their tokens.

use Alphabet::{Base64, Hex, Letters, LowerDigits, UpperDigits, Word, WordDots};

/// Characters of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    UpperDigits,
    LowerDigits,
    /// Letters and digits.
    Letters,
    /// Those of base64url: letters, digits, `_` and `-`.
    Word,
    /// The same and dots.
    WordDots,
    /// Those of base64.
    Base64,
    Hex,
}

impl Alphabet {
    pub fn has(self, byte: u8) -> bool {
        match self {
            Self::UpperDigits => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::LowerDigits => byte.is_ascii_lowercase() || byte.is_ascii_digit(),
            Self::Letters => byte.is_ascii_alphanumeric(),
            Self::Word => byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-',
            Self::WordDots => byte.is_ascii_alphanumeric() || b"_-.".contains(&byte),
            Self::Base64 => byte.is_ascii_alphanumeric() || b"+/=".contains(&byte),
            Self::Hex => byte.is_ascii_hexdigit(),
        }
    }
}

/// The format of a credential.
pub struct Format {
    pub kind: &'static str,
    pub prefix: &'static str,
    /// The place in the prefix that is rarest in ordinary text: where it is looked for.
    pub mark: usize,
    pub alphabet: Alphabet,
    pub min: usize,
    pub max: usize,
}

impl Format {
    #[expect(clippy::indexing_slicing, reason = "called while compiling, where an index out of range is an error")]
    pub const fn marked_byte(&self) -> u8 {
        self.prefix.as_bytes()[self.mark]
    }

    /// The byte before the marked one; 0 where the mark comes first.
    #[expect(clippy::indexing_slicing, reason = "called while compiling, where an index out of range is an error")]
    pub const fn byte_before(&self) -> u8 {
        if self.mark == 0 { 0 } else { self.prefix.as_bytes()[self.mark - 1] }
    }
}

const fn format(kind: &'static str, prefix: &'static str, alphabet: Alphabet, min: usize, max: usize) -> Format {
    Format { kind, prefix, mark: mark(prefix.as_bytes()), alphabet, min, max }
}

/// The first character of a prefix that is neither letter nor digit, else its first letter.
#[expect(clippy::indexing_slicing, reason = "computed while compiling, where an index out of range is an error")]
const fn mark(prefix: &[u8]) -> usize {
    let mut index = 0;
    while index < prefix.len() {
        if !prefix[index].is_ascii_alphanumeric() {
            return index;
        }
        index += 1;
    }
    0
}

/// Formats, those with one mark and one character before it together; a longer prefix stands before a shorter one that it
/// begins with.
pub static FORMATS: [Format; 147] = [
    format("aws-access-key", "AKIA", UpperDigits, 16, 16),
    format("aws-access-key", "ASIA", UpperDigits, 16, 16),
    format("aws-access-key", "ABIA", UpperDigits, 16, 16),
    format("aws-access-key", "ACCA", UpperDigits, 16, 16),
    format("aws-bedrock-key", "ABSK", Base64, 109, 269),
    format("google-api-key", "AIza", Word, 35, 35),
    format("artifactory-key", "AKCp", Letters, 69, 72),
    format("tencent-key", "AKID", Letters, 32, 32),
    format("yandex-key", "AQVN", Word, 35, 38),
    format("atlassian-token", "ATATT3xFfGF0", WordDots, 60, 255),
    format("atlassian-token", "ATCTT3xFfGN0", WordDots, 60, 255),
    format("twitter-token", "AAAAAAAAAAAAAAAAAAAAA", Base64, 60, 255),
    format("facebook-token", "EAACEdEose0cBA", Letters, 20, 255),
    format("facebook-token", "EAAM", Letters, 100, 255),
    format("square-token", "EAAA", Word, 60, 60),
    format("easypost-key", "EZAK", Letters, 54, 54),
    format("alibaba-key", "LTAI", Letters, 12, 26),
    format("twilio-key", "SK", Hex, 32, 32),
    format("age-key", "AGE-SECRET-KEY-1", UpperDigits, 58, 58),
    format("newrelic-key", "NRII-", Word, 32, 32),
    format("octopus-key", "API-", UpperDigits, 25, 32),
    format("newrelic-key", "NRAK-", UpperDigits, 27, 27),
    format("postman-key", "PMAK-", Word, 59, 59),
    format("flutterwave-key", "FLWSECK-", Word, 32, 48),
    format("contentful-token", "CFPAT-", Word, 43, 43),
    format("heroku-key", "HRKU-", Word, 36, 80),
    format("google-client-secret", "GOCSPX-", Word, 28, 28),
    format("slack-token", "xoxa-", Word, 20, 255),
    format("slack-token", "xoxb-", Word, 20, 255),
    format("sendinblue-key", "xkeysib-", Word, 81, 81),
    format("slack-token", "xoxe-", Word, 20, 255),
    format("xai-key", "xai-", Letters, 70, 90),
    format("nvidia-key", "nvapi-", Word, 60, 80),
    format("pypi-token", "pypi-AgEI", Word, 50, 1024),
    format("anthropic-key", "sk-ant-", Word, 24, 255),
    format("openai-key", "sk-proj-", Word, 32, 255),
    format("openai-key", "sk-svcacct-", Word, 32, 255),
    format("openai-key", "sk-admin-", Word, 32, 255),
    format("openrouter-key", "sk-or-", Word, 40, 100),
    format("langfuse-key", "sk-lf-", Word, 36, 36),
    format("openai-key", "sk-", Letters, 32, 255),
    format("cerebras-key", "csk-", Letters, 40, 60),
    format("pulumi-token", "pul-", Hex, 40, 40),
    format("infracost-key", "ico-", Letters, 32, 32),
    format("slack-token", "xoxp-", Word, 20, 255),
    format("slack-token", "xapp-", Word, 40, 255),
    format("square-token", "sq0atp-", Word, 22, 22),
    format("square-token", "sq0csp-", Word, 43, 43),
    format("slack-token", "xoxr-", Word, 20, 255),
    format("gitlab-token", "gloas-", Word, 64, 64),
    format("slack-token", "xoxs-", Word, 20, 255),
    format("gitlab-token", "glpat-", WordDots, 20, 64),
    format("gitlab-token", "gldt-", Word, 20, 64),
    format("gitlab-token", "glrt-", WordDots, 20, 64),
    format("gitlab-token", "glcbt-", Word, 20, 80),
    format("gitlab-token", "glptt-", Hex, 40, 40),
    format("gitlab-token", "glft-", Word, 20, 64),
    format("gitlab-token", "glimt-", Word, 25, 64),
    format("gitlab-token", "glagent-", Word, 50, 64),
    format("gitlab-token", "glsoat-", Word, 20, 64),
    format("gitlab-token", "glffct-", Word, 20, 64),
    format("perplexity-key", "pplx-", Letters, 40, 64),
    format("mailgun-key", "key-", Hex, 32, 32),
    format("tailscale-key", "tskey-", Word, 30, 80),
    format("dynatrace-token", "dt0c01.", WordDots, 80, 120),
    format("google-access-token", "ya29.", Word, 40, 1024),
    format("sendgrid-key", "SG.", WordDots, 60, 80),
    format("vault-token", "hvb.", Word, 100, 512),
    format("mapbox-token", "sk.eyJ", WordDots, 60, 200),
    format("dropbox-token", "sl.", Word, 130, 255),
    format("doppler-token", "dp.", WordDots, 40, 60),
    format("vault-token", "hvs.", Word, 24, 255),
    format("fly-token", "fo1_", Word, 43, 43),
    format("langsmith-key", "lsv2_pt_", Word, 40, 60),
    format("langsmith-key", "lsv2_sk_", Word, 40, 60),
    format("fly-token", "fm2_", Base64, 100, 1024),
    format("replicate-token", "r8_", Letters, 37, 40),
    format("clojars-token", "CLOJARS_", LowerDigits, 60, 60),
    format("circleci-token", "CCIPAT_", Word, 60, 80),
    format("shopify-token", "shppa_", Hex, 32, 32),
    format("shopify-token", "shpca_", Hex, 32, 32),
    format("grafana-token", "glsa_", Word, 41, 41),
    format("buildkite-token", "bkua_", Hex, 40, 40),
    format("sonar-token", "sqa_", Hex, 40, 40),
    format("github-token", "github_pat_", Word, 22, 255),
    format("supabase-key", "sb_secret_", Word, 22, 60),
    format("stripe-webhook-secret", "whsec_", Base64, 32, 64),
    format("grafana-token", "glc_", Base64, 32, 400),
    format("render-key", "rnd_", Letters, 28, 40),
    format("figma-token", "figd_", Word, 40, 60),
    format("planetscale-token", "pscale_tkn_", WordDots, 32, 64),
    format("planetscale-token", "pscale_pw_", WordDots, 32, 64),
    format("planetscale-token", "pscale_oauth_", WordDots, 32, 64),
    format("readme-key", "rdme_", LowerDigits, 70, 70),
    format("huggingface-token", "hf_", Letters, 34, 64),
    format("huggingface-token", "api_org_", Letters, 34, 64),
    format("neon-key", "napi_", Letters, 48, 80),
    format("stripe-key", "sk_live_", Letters, 16, 255),
    format("stripe-key", "rk_live_", Letters, 16, 255),
    format("stripe-key", "sk_test_", Letters, 20, 255),
    format("stripe-key", "rk_test_", Letters, 20, 255),
    format("paystack-key", "sk_paystack_", Letters, 40, 60),
    format("elevenlabs-key", "sk_", Hex, 48, 48),
    format("groq-key", "gsk_", Letters, 48, 60),
    format("pinecone-key", "pcsk_", Word, 50, 90),
    format("honeycomb-key", "hcaik_", LowerDigits, 58, 64),
    format("duffel-token", "duffel_live_", Word, 43, 43),
    format("duffel-token", "duffel_test_", Word, 43, 43),
    format("npm-token", "npm_", Letters, 36, 36),
    format("settlemint-token", "sm_aat_", Letters, 16, 16),
    format("settlemint-token", "sm_pat_", Letters, 16, 16),
    format("linear-key", "lin_api_", Letters, 32, 64),
    format("linear-key", "lin_oauth_", Letters, 32, 64),
    format("notion-token", "ntn_", Letters, 46, 60),
    format("github-token", "gho_", Letters, 36, 255),
    format("digitalocean-token", "doo_v1_", Hex, 64, 64),
    format("adafruit-key", "aio_", Letters, 28, 28),
    format("shippo-token", "shippo_live_", Hex, 40, 40),
    format("shippo-token", "shippo_test_", Hex, 40, 40),
    format("github-token", "ghp_", Letters, 36, 255),
    format("digitalocean-token", "dop_v1_", Hex, 64, 64),
    format("together-key", "tgp_v1_", Word, 40, 60),
    format("netlify-token", "nfp_", Letters, 36, 40),
    format("supabase-key", "sbp_", Hex, 40, 40),
    format("sonar-token", "sqp_", Hex, 40, 40),
    format("sourcegraph-token", "sgp_", Word, 40, 80),
    format("typeform-token", "tfp_", WordDots, 40, 60),
    format("github-token", "ghr_", Letters, 36, 255),
    format("digitalocean-token", "dor_v1_", Hex, 64, 64),
    format("docker-token", "dckr_pat_", Word, 24, 64),
    format("docker-token", "dckr_oat_", Word, 24, 64),
    format("github-token", "ghs_", Letters, 36, 255),
    format("shopify-token", "shpss_", Hex, 32, 32),
    format("rubygems-key", "rubygems_", Hex, 48, 48),
    format("onepassword-token", "ops_eyJ", Base64, 200, 1024),
    format("sentry-token", "sntrys_", Base64, 80, 300),
    format("shopify-token", "shpat_", Hex, 32, 32),
    format("notion-token", "secret_", Letters, 43, 43),
    format("cloudflare-token", "cfut_", Word, 40, 60),
    format("cloudflare-token", "cfat_", Word, 40, 60),
    format("github-token", "ghu_", Letters, 36, 255),
    format("sentry-token", "sntryu_", Hex, 64, 64),
    format("figma-token", "figu_", Word, 40, 60),
    format("prefect-key", "pnu_", Letters, 36, 36),
    format("sonar-token", "squ_", Hex, 40, 40),
    format("fireworks-key", "fw_", Letters, 22, 40),
    format("posthog-key", "phx_", Letters, 43, 60),
];
