//! Which keys of a certificate may sign, by what its owner says in self-signatures.

use pgp::composed::SignedPublicKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, PublicParams, SignedUser, Tag, VerifyingKey};

use super::Text;

/// The shortest RSA keys that are taken.
const RSA_BITS: u16 = 2048;

/// Why a signature is not good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The keyring does not have the key.
    #[error("the key {issuer} is not in the keyring")]
    Unknown {
        /// What the signature says about who made it.
        issuer: String,
    },
    /// The key must not be used.
    #[error("the key {key} {reason}")]
    Key {
        /// Its fingerprint.
        key: String,
        /// Why: `is expired`.
        reason: &'static str,
    },
    /// There is something wrong with the signature itself.
    #[error("the signature of {key} is refused: {reason}")]
    Signature {
        /// The fingerprint of the key.
        key: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A primary key with its subkeys and what its owner says about them.
#[derive(Debug, Clone)]
pub(super) struct Certificate(SignedPublicKey);

/// What the latest self-signature says about a key.
struct Binding<'certificate> {
    signature: &'certificate Signature,
    created: i64,
}

impl Certificate {
    pub(super) fn new(key: SignedPublicKey) -> Self {
        Self(key)
    }

    /// Returns the fingerprint of the primary key.
    pub(super) fn fingerprint(&self) -> String {
        format!("{:X}", self.0.primary_key.fingerprint())
    }

    /// Checks a signature over `text`.
    pub(super) fn check(&self, signature: &Signature, text: Text<'_>, now: i64) -> Result<(), Refusal> {
        let primary = &self.0.primary_key;
        if names(signature, primary) {
            return self.check_with(primary, signature, text, now, || self.primary_binding(now));
        }
        for subkey in &self.0.public_subkeys {
            if names(signature, &subkey.key) {
                return self.check_with(&subkey.key, signature, text, now, || {
                    // A subkey lives no longer than the key it belongs to.
                    let binding = self.primary_binding(now)?;
                    lifetime(primary, &binding, now)?;
                    self.subkey_binding(subkey, now)
                });
            }
        }
        Err(Refusal::Unknown { issuer: issuer(signature) })
    }

    fn check_with<'own, K: VerifyingKey>(
        &'own self,
        key: &K,
        signature: &Signature,
        text: Text<'_>,
        now: i64,
        binding: impl FnOnce() -> Result<Binding<'own>, Refusal>,
    ) -> Result<(), Refusal> {
        let fingerprint = format!("{:X}", key.fingerprint());
        let refused = |reason| Refusal::Signature { key: fingerprint.clone(), reason };
        if let Some(reason) = super::fault(signature, now) {
            return Err(refused(reason));
        }
        if !is_strong(key.public_params()) {
            return Err(Refusal::Key { key: fingerprint, reason: "is too weak, or of a kind that is not taken" });
        }
        let binding = binding()?;
        lifetime(key, &binding, now)?;
        if !may_sign(binding.signature) {
            return Err(Refusal::Key { key: fingerprint, reason: "is not for signing" });
        }
        let created = signature.created().map_or(0, |time| i64::from(time.as_secs()));
        if created < i64::from(key.created_at().as_secs()) {
            return Err(refused("it is older than the key"));
        }
        let text = text().map_err(|_| refused("what it is over cannot be read"))?;
        signature.verify(key, text).map_err(|_| refused("it does not fit the text"))
    }

    /// Checks that the key itself may be used: it is not revoked and not expired.
    pub(super) fn check_alive(&self, now: i64) -> Result<(), Refusal> {
        lifetime(&self.0.primary_key, &self.primary_binding(now)?, now)
    }

    /// Returns the most keys among `others` that vouch for one and the same user id of this one.
    pub(super) fn vouched_for(&self, others: &[&Self], now: i64) -> usize {
        let vouches = |user: &SignedUser| others.iter().filter(|other| self.has_vouched(other, user, now)).count();
        self.0.details.users.iter().map(vouches).max().unwrap_or(0)
    }

    /// Tells whether another key says that a user id belongs to this one, and has not taken that back.
    fn has_vouched(&self, other: &Self, user: &SignedUser, now: i64) -> bool {
        let key = &other.0.primary_key;
        let by_other = user.signatures.iter().filter(|signature| {
            names(signature, key) && super::is_strong(signature.hash_alg()) && {
                let verified =
                    signature.verify_third_party_certification(&self.0.primary_key, key, Tag::UserId, &user.id);
                verified.is_ok()
            }
        });
        let latest = by_other.filter_map(|signature| Binding::of(signature, now)).max_by_key(|binding| {
            // Of two of one second the one that takes it back counts.
            (binding.created, binding.signature.typ() == Some(SignatureType::CertRevocation))
        });
        latest.is_some_and(|binding| binding.signature.typ() != Some(SignatureType::CertRevocation))
    }

    /// Returns what the owner says about the primary key: the latest good self-signature, on a user id or the key itself.
    fn primary_binding(&self, now: i64) -> Result<Binding<'_>, Refusal> {
        let (key, details) = (&self.0.primary_key, &self.0.details);
        let refused = |reason| Refusal::Key { key: self.fingerprint(), reason };
        let revoked = |signature: &Signature| is_own(signature) && signature.verify_key(key).is_ok();
        if details.revocation_signatures.iter().any(revoked) {
            return Err(refused("is revoked"));
        }
        let direct = details.direct_signatures.iter().filter(|signature| signature.typ() == Some(SignatureType::Key));
        let mut said: Vec<(&Signature, Option<&SignedUser>)> = direct.map(|signature| (signature, None)).collect();
        for user in &details.users {
            let is_revocation = |signature: &&Signature| signature.typ() == Some(SignatureType::CertRevocation);
            if user.signatures.iter().filter(is_revocation).any(|signature| self.has_said(signature, Some(user))) {
                continue;
            }
            let own = user.signatures.iter().filter(|signature| !is_revocation(signature));
            said.extend(own.map(|signature| (signature, Some(user))));
        }
        latest(said, now, |signature, user| self.has_said(signature, user))
            .ok_or_else(|| refused("has no good self-signature"))
    }

    /// Tells whether the owner has signed this of a user id, or of the key itself. What others say does not verify.
    fn has_said(&self, signature: &Signature, user: Option<&SignedUser>) -> bool {
        let key = &self.0.primary_key;
        is_own(signature)
            && match user {
                None => signature.verify_key(key).is_ok(),
                Some(user) => signature.verify_certification(key, Tag::UserId, &user.id).is_ok(),
            }
    }

    /// Returns what the owner says about a subkey.
    fn subkey_binding<'own>(
        &'own self,
        subkey: &'own pgp::composed::SignedPublicSubKey,
        now: i64,
    ) -> Result<Binding<'own>, Refusal> {
        let primary = &self.0.primary_key;
        let refused = |reason| Refusal::Key { key: format!("{:X}", subkey.key.fingerprint()), reason };
        let good =
            |signature: &Signature| is_own(signature) && signature.verify_subkey_binding(primary, &subkey.key).is_ok();
        let is_revocation = |signature: &&Signature| signature.typ() == Some(SignatureType::SubkeyRevocation);
        if subkey.signatures.iter().filter(is_revocation).any(good) {
            return Err(refused("is revoked"));
        }
        let said = subkey.signatures.iter().filter(|signature| !is_revocation(signature));
        let said = said.map(|signature| (signature, ())).collect();
        let binding = latest(said, now, |signature, ()| good(signature));
        let binding = binding.ok_or_else(|| refused("is not bound to its primary key"))?;
        // Otherwise anybody could take a signing key of others for their own.
        let back = binding.signature.embedded_signature();
        let agrees =
            back.is_some_and(|back| is_own(back) && back.verify_primary_key_binding(&subkey.key, primary).is_ok());
        if agrees { Ok(binding) } else { Err(refused("does not say that it belongs to its primary key")) }
    }
}

impl<'certificate> Binding<'certificate> {
    /// Returns what a self-signature says, when its time has come and is not over.
    fn of(signature: &'certificate Signature, now: i64) -> Option<Self> {
        let created = i64::from(signature.created()?.as_secs());
        let lasts = signature.signature_expiration_time().map_or(0, |time| i64::from(time.as_secs()));
        (created <= now && (lasts == 0 || created + lasts > now)).then_some(Self { signature, created })
    }
}

/// Returns the latest of what was said, each over something, that has its time and is good. To verify is what takes time:
/// nothing older is.
fn latest<'certificate, T: Copy>(
    said: Vec<(&'certificate Signature, T)>,
    now: i64,
    is_good: impl Fn(&Signature, T) -> bool,
) -> Option<Binding<'certificate>> {
    let mut bindings: Vec<(Binding<'_>, T)> =
        said.into_iter().filter_map(|(signature, over)| Some((Binding::of(signature, now)?, over))).collect();
    // Of two of one second the later one in the certificate.
    bindings.sort_by_key(|(binding, _)| binding.created);
    bindings.into_iter().rev().find(|(binding, over)| is_good(binding.signature, *over)).map(|(binding, _)| binding)
}

/// Checks that the time of a key has come and is not over.
fn lifetime(key: &impl KeyDetails, binding: &Binding<'_>, now: i64) -> Result<(), Refusal> {
    let created = i64::from(key.created_at().as_secs());
    let lasts = binding.signature.key_expiration_time().map_or(0, |time| i64::from(time.as_secs()));
    let refused = |reason| Err(Refusal::Key { key: format!("{:X}", key.fingerprint()), reason });
    if created > now {
        refused("was made in the future")
    } else if lasts > 0 && created + lasts <= now {
        refused("is expired")
    } else {
        Ok(())
    }
}

/// Tells whether a self-signature is over a hash that is taken. SHA-1 is, where nobody but the owner chooses what is
/// hashed: the keys of 2012 have no other; collisions are detected.
fn is_own(signature: &Signature) -> bool {
    super::is_strong(signature.hash_alg()) || signature.hash_alg() == Some(HashAlgorithm::Sha1)
}

/// Tells whether a key is for signing; one that nothing is said about is (RFC 9580, 5.2.3.29, leaves it open).
fn may_sign(binding: &Signature) -> bool {
    let flags = binding.config().and_then(|config| {
        config.hashed_subpackets().find_map(|subpacket| match &subpacket.data {
            SubpacketData::KeyFlags(flags) => Some(flags),
            _ => None,
        })
    });
    flags.is_none_or(KeyFlags::sign)
}

fn is_strong(parameters: &PublicParams) -> bool {
    match parameters {
        PublicParams::RSA(_) => rsa_bits(parameters).is_some_and(|bits| bits >= RSA_BITS),
        PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::Ed448(_) | PublicParams::ECDSA(_) => {
            true
        }
        _ => false,
    }
}

/// Returns the length of the modulus: the first number of an RSA key, which begins with its length in bits (RFC 9580, 3.2).
fn rsa_bits(parameters: &PublicParams) -> Option<u16> {
    let bytes = parameters.to_bytes().ok()?;
    bytes.first_chunk().map(|length| u16::from_be_bytes(*length))
}

/// Tells whether a signature says that this key made it.
fn names(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        signature.issuer_key_id().contains(&&key.legacy_key_id())
    } else {
        fingerprints.contains(&&key.fingerprint())
    }
}

/// Returns what a signature says about who made it.
pub(super) fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    fingerprint.or_else(id).unwrap_or_else(|| "that nobody named".into())
}
