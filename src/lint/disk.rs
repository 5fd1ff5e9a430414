//! DD: discoverable disk images (UAPI.2, UAPI.3).

use super::content::is_bare_usr;
use super::subject::{Class, Subject};
use super::table::Report;
use crate::image::ddi::Fault;
use crate::image::gpt::PartitionRole;
use crate::image::signature::{Certificate, Pkcs7, SignatureRecord, SignerId};
use crate::spec::Scope;
use crate::tree::TreePath;

/// Tells the faults of the image that a rule is about.
fn told(subject: &Subject<'_>, report: &mut Report, about: impl Fn(&Fault) -> bool) {
    for fault in subject.disk.iter().flat_map(|disk| &disk.faults).filter(|fault| about(fault)) {
        report.whole(fault.to_string());
    }
}

pub(super) fn flags(subject: &Subject<'_>, report: &mut Report) {
    told(subject, report, |fault| matches!(fault, Fault::NotReadOnly(_) | Fault::Grows(_)));
}

pub(super) fn discoverable(subject: &Subject<'_>, report: &mut Report) {
    told(subject, report, |fault| matches!(fault, Fault::NotDiscovered(_)));
}

pub(super) fn uuids(subject: &Subject<'_>, report: &mut Report) {
    told(subject, report, |fault| matches!(fault, Fault::RootHash { .. } | Fault::Tree(_)));
}

pub(super) fn role(subject: &Subject<'_>, report: &mut Report) {
    told(subject, report, |fault| matches!(fault, Fault::NoData));
    let Some((data, kind)) = subject.disk.and_then(|disk| disk.data.as_ref()) else { return };
    if kind.role == PartitionRole::Usr && subject.class == Class::Confext {
        report.whole("a confext is in a usr partition, which is not looked at");
        return;
    }
    let Some(tree) = subject.tree else { return };
    let has_usr = TreePath::from_relative(b"usr").is_ok_and(|path| tree.get(&path).is_some());
    match kind.role {
        PartitionRole::Root if is_bare_usr(tree) => {
            report.whole(format!("the partition `{}` is of the type root, but has the content of /usr", data.label));
        }
        PartitionRole::Usr if has_usr => {
            report.whole(format!("the partition `{}` is of the type usr, but has a /usr in it", data.label));
        }
        _ => {}
    }
}

pub(super) fn table(subject: &Subject<'_>, report: &mut Report) {
    for fault in subject.disk.iter().flat_map(|disk| &disk.reading.faults) {
        report.whole(fault.to_string());
    }
}

/// Returns what the signature partition holds, when it can be understood.
fn record<'a>(subject: &Subject<'a>) -> Option<&'a SignatureRecord> {
    subject.disk?.signature.as_ref()?.record.as_ref().ok()
}

/// Returns the certificate that lies in a signature, when there is one only.
fn certificate(record: &SignatureRecord) -> Option<Certificate> {
    let mut certificates = Pkcs7::from_der(&record.signature).ok()?.certificates.into_iter();
    certificates.next().filter(|_| certificates.next().is_none())
}

pub(super) fn signature(subject: &Subject<'_>, report: &mut Report) {
    told(subject, report, |fault| matches!(fault, Fault::NoTree | Fault::SignedHash { .. }));
    if let Some(Err(error)) = subject.disk.and_then(|disk| disk.signature.as_ref()).map(|found| &found.record) {
        report.whole(error.to_string());
    }
    let Some(record) = record(subject) else { return };
    match Pkcs7::from_der(&record.signature) {
        Err(error) => report.whole(error.to_string()),
        Ok(pkcs7) if pkcs7.signers.iter().any(|signer| matches!(signer, SignerId::KeyIdentifier(_))) => {
            report.whole("the signer is named by a key identifier");
        }
        // Whom to trust is not decided here, only whether the text that was signed is the right one.
        Ok(_) => {
            let wrong = certificate(record).and_then(|own| record.verify(&record.root_hash, &own).err());
            if let Some(error) = wrong {
                report.whole(error.to_string());
            }
        }
    }
}

pub(super) fn fingerprint(subject: &Subject<'_>, report: &mut Report) {
    let Some(record) = record(subject) else { return };
    let (Some(named), Some(own)) = (record.fingerprint, certificate(record)) else { return };
    if own.fingerprint() != named {
        let (named, own) = (named.hex(), own.fingerprint().hex());
        report.whole(format!("certificateFingerprint is {named}, the certificate has {own}"));
    }
}

pub(super) fn deterministic(subject: &Subject<'_>, report: &mut Report) {
    if subject.random_signature && subject.target.reproducible {
        report.whole("whatever signs it gives another signature each time");
    }
}

pub(super) fn one_pair(subject: &Subject<'_>, report: &mut Report) {
    told(subject, report, |fault| matches!(fault, Fault::Several(_) | Fault::Stray { .. }));
}

pub(super) fn is_signed(subject: &Subject<'_>, report: &mut Report) {
    let strict = subject.target.signed || subject.target.scope == Scope::Initrd;
    let signed = subject.disk.is_some_and(|disk| disk.signature.as_ref().is_some_and(|found| found.record.is_ok()));
    if strict && !signed && (subject.disk.is_some() || subject.file_system.is_some()) {
        report.whole("the image is not signed");
    }
}
