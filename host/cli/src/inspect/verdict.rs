//! Whether a host would take a bundle: its signature, the policy, and the budget that it asks for.

use std::path::Path;

use serde_json::{Value, json};
use transducer_bundle::{Budget, Package, Policy, Signer, named_signer};

/// What is known of a bundle's signature. What is not verified is told as such: a signature can name any key.
enum Signature {
    /// There is none.
    Unsigned,
    /// There is one, and no policy that says whom to trust.
    Unchecked(String),
    /// Of somebody whom the policy trusts, and it holds.
    Trusted(Signer),
    /// Of a key that the policy does not know.
    Unknown(String),
    /// It is none, it does not hold, or its key was revoked.
    Refused(String),
}

fn signature(package: &Package, path: &Path, policy: Option<&Policy>) -> Signature {
    let Some(packed) = &package.packed else {
        return Signature::Unsigned;
    };
    let named = match named_signer(path, packed) {
        Ok(Some(named)) => named.to_string(),
        Ok(None) => return Signature::Unsigned,
        Err(error) => return Signature::Refused(error.to_string()),
    };
    match policy.map(|policy| package.signer(path, policy)) {
        None => Signature::Unchecked(named),
        Some(Ok(Some(signer))) => Signature::Trusted(signer),
        Some(Ok(None)) => Signature::Unknown(named),
        Some(Err(refusal)) => Signature::Refused(refusal.to_string()),
    }
}

impl Signature {
    fn to_json(&self) -> Value {
        match self {
            Self::Unsigned => json!({"state": "unsigned"}),
            Self::Unchecked(key) => json!({"state": "unchecked", "key": key}),
            Self::Trusted(signer) => json!({"state": "trusted", "key": signer.key, "name": signer.name}),
            Self::Unknown(key) => json!({"state": "unknown", "key": key}),
            Self::Refused(error) => json!({"state": "refused", "error": error}),
        }
    }
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsigned => f.write_str("none"),
            Self::Unchecked(key) => write!(f, "names key {key}, not checked: --policy says whom to trust"),
            Self::Trusted(signer) => write!(f, "of {} (key {}), checked and trusted", signer.name, signer.key),
            Self::Unknown(key) => write!(f, "names key {key}, which the policy does not know"),
            Self::Refused(error) => write!(f, "refused: {error}"),
        }
    }
}

/// Whose a bundle is, what a policy says of it, and what its task may use under that.
pub(super) struct Verdict<'a> {
    signature: Signature,
    policy: Option<&'a Policy>,
    /// Why the policy does not let the bundle in.
    refusal: Option<String>,
    asked: Budget,
    most: Budget,
}

impl<'a> Verdict<'a> {
    pub(super) fn of(package: &Package, path: &Path, policy: Option<&'a Policy>) -> Self {
        let admitted = policy.map(|policy| package.admitted(path, policy));
        Self {
            signature: signature(package, path, policy),
            policy,
            refusal: admitted.and_then(Result::err).map(|refusal| refusal.to_string()),
            asked: package.bundle.manifest.budget,
            most: policy.map_or(Budget::MOST, |policy| policy.most),
        }
    }

    pub(super) fn signature_json(&self) -> Value {
        self.signature.to_json()
    }

    /// Null where no policy is named.
    pub(super) fn policy_json(&self) -> Value {
        let Some(policy) = self.policy else {
            return Value::Null;
        };
        json!({
            "path": policy.path(),
            "require_signature": policy.require_signature,
            "lets_in": self.refusal.is_none(),
            "error": self.refusal,
        })
    }

    pub(super) fn budget_json(&self) -> Value {
        let numbers = |number: fn(Budget) -> u32| json!({"asked": number(self.asked), "usual": number(Budget::USUAL), "most": number(self.most)});
        json!({"memory_mib": numbers(Budget::memory_mib), "deadline_ms": numbers(Budget::deadline_ms)})
    }

    /// Lines of the table.
    pub(super) fn rows(&self) -> [(&'static str, String); 4] {
        let verdict = match (self.policy, &self.refusal) {
            (None, _) => "none named: whatever fits is let in".to_owned(),
            (Some(policy), None) => format!("{} lets it in", policy.path().display()),
            (Some(_), Some(refusal)) => format!("refused: {refusal}"),
        };
        let told = |number: fn(Budget) -> u32, unit| {
            let (asked, usual, most) = (number(self.asked), number(Budget::USUAL), number(self.most));
            let much = if asked > most { ", too much" } else { "" };
            format!("asks for {asked} {unit} a call{much} (usual {usual}, most {most})")
        };
        [
            ("signature", self.signature.to_string()),
            ("policy", verdict),
            ("memory", told(Budget::memory_mib, "MiB")),
            ("time", told(Budget::deadline_ms, "ms")),
        ]
    }
}
