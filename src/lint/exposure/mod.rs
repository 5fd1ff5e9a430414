//! How exposed a service is: the score of `systemd-analyze security --offline=yes`, without systemd.
//!
//! Comes in: the text of a service unit and of its drop-ins. Goes out: the overall exposure from 0 to 10 in tenths, and
//! what each of the tool's 81 assessors says. Always holds: both are what the tool of systemd 257 says on x86-64.
//! Weights, levels and the reading of settings were learnt by observing the tool: with a security policy that leaves two
//! assessors a weight, its score tells the ratio of theirs. systemd 252 differs in one thing: there `PrivateMounts=`
//! has to be said, whereas 257 takes it for granted unless it is refused.

mod addresses;
mod assessor;
mod capabilities;
mod directives;
mod error_names;
mod families;
mod namespaces;
mod settings;
mod system_calls;
#[cfg(test)]
mod tests;
mod unit_file;
mod words;

use self::assessor::ASSESSORS;
use self::settings::Settings;

/// What the assessors say of one service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Exposure {
    /// Overall exposure in tenths: 0 is locked up, 100 open.
    pub tenths: u32,
    /// What each assessor says, in the order of the table.
    pub assessments: Vec<Assessment>,
}

/// What one assessor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Assessment {
    /// The setting it looks at, as the tool prints it: `CapabilityBoundingSet=~CAP_SYS_TIME`.
    pub name: &'static str,
    /// Its name in the tool's JSON: `CapabilityBoundingSet_CAP_SYS_TIME`.
    pub field: &'static str,
    /// Whether the service is protected; nothing when the setting means nothing for it.
    pub set: Option<bool>,
    /// What it adds to the overall exposure, in tenths; nothing when it adds nothing.
    pub tenths: Option<u32>,
}

/// A word for an overall exposure, as the tool has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Grade {
    /// 0.0.
    Perfect,
    /// From 0.1.
    Safe,
    /// From 1.0.
    Ok,
    /// From 5.0.
    Medium,
    /// From 7.5.
    Exposed,
    /// From 9.0.
    Unsafe,
    /// 10.0.
    Dangerous,
}

impl Exposure {
    /// Returns the word for the overall exposure.
    pub fn grade(&self) -> Grade {
        match self.tenths {
            0 => Grade::Perfect,
            1..10 => Grade::Safe,
            10..50 => Grade::Ok,
            50..75 => Grade::Medium,
            75..90 => Grade::Exposed,
            90..100 => Grade::Unsafe,
            _ => Grade::Dangerous,
        }
    }
}

/// A service that systemd would not load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("systemd does not load this service: {reason}")]
pub struct RefusedService {
    /// Why: ``line 7: the path of `RootDirectory=` is not absolute``.
    pub reason: String,
}

/// Assesses a service: the text of its unit, and of its drop-ins in the order in which systemd reads them.
///
/// # Errors
/// When a setting that is looked at makes systemd refuse the service.
pub fn assess<'text>(
    unit: &'text str,
    drop_ins: impl IntoIterator<Item = &'text str>,
) -> Result<Exposure, RefusedService> {
    let mut settings = Settings::default();
    for text in std::iter::once(unit).chain(drop_ins) {
        for assignment in unit_file::assignments(text, "Service") {
            settings.assign(&assignment)?;
        }
    }
    let badness: Vec<Option<u32>> = ASSESSORS.iter().map(|assessor| assessor.check.badness(&settings)).collect();
    let rows = || ASSESSORS.iter().zip(&badness).filter_map(|(assessor, badness)| Some((assessor, (*badness)?)));
    let weight: u32 = rows().map(|(assessor, _)| assessor.weight).sum();
    let sum: u32 = rows().map(|(assessor, badness)| (badness * assessor.weight).div_ceil(assessor.check.range())).sum();
    let assessment = |(assessor, badness): (&assessor::Assessor, &Option<u32>)| Assessment {
        name: assessor.name,
        field: assessor.field,
        set: badness.map(|badness| badness == 0),
        tenths: badness
            .filter(|badness| *badness > 0)
            .map(|badness| (badness * assessor.weight * 100).div_ceil(assessor.check.range()).div_ceil(weight)),
    };
    Ok(Exposure {
        tenths: (sum * 100).div_ceil(weight),
        assessments: ASSESSORS.iter().zip(&badness).map(assessment).collect(),
    })
}
