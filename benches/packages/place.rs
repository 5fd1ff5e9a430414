//! Where the work is done.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::command::done;

/// How large the ext4 is, in bytes; only what is written takes memory.
const SIZE: u64 = 8 << 30;

/// What the folder is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// tmpfs.
    Memory,
    /// A fresh ext4 with a journal, in a file on tmpfs.
    Ext4,
}

impl System {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "tmpfs",
            Self::Ext4 => "ext4",
        }
    }
}

/// A folder that goes away with the value.
pub(crate) struct Place {
    folder: PathBuf,
    mounted: bool,
}

impl Place {
    pub(crate) fn new(system: System) -> Result<Self> {
        let folder = Path::new("/dev/shm").join(format!("layerforge-packages-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let mut place = Self { folder, mounted: false };
        fs::create_dir(place.path())?;
        if system == System::Ext4 {
            let image = place.folder.join("ext4");
            File::create(&image)?.set_len(SIZE)?;
            done(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
            done(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(place.path()))?;
            place.mounted = true;
        }
        Ok(place)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("work")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.mounted {
            let _ = done(Command::new("umount").arg(self.path()));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
