//! The tables that put paths into a tree: `[file]`, `[directory]`, `[link]`, `[remove]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::merge::merge_fields;
use super::source::Located;
use super::value::{Account, Mode, Name};

/// For which distros, and under which condition, a table counts.
#[derive(Debug, Clone, Copy)]
pub struct Condition<'table> {
    /// Only for these distros and those that are like them.
    pub only: Option<&'table [Located<Name>]>,
    /// Not for these distros and those that are like them.
    pub except: Option<&'table [Located<Name>]>,
    /// Only when this expression is true.
    pub when: Option<&'table Located<String>>,
}

/// A table that may count for some distros only.
pub trait Conditional {
    /// Returns when the table counts.
    fn condition(&self) -> Condition<'_>;
}

macro_rules! conditional {
    ($($type:ty),*) => {
        $(impl $crate::spec::Conditional for $type {
            fn condition(&self) -> $crate::spec::Condition<'_> {
                $crate::spec::Condition {
                    only: self.only.as_deref(),
                    except: self.except.as_deref(),
                    when: self.when.as_ref(),
                }
            }
        })*
    };
}
pub(super) use conditional;

/// `[file."/path"]`: a regular file, from exactly one of `template`, `source` and `content`. With none of them the table
/// sets owner and mode of files that come from file trees, and its path may be a pattern.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileTable {
    /// A template to render: a name in the layer's `templates/` folder or in the project's.
    pub template: Option<Located<String>>,
    /// A file to copy as it is, relative to the layer's folder, or to the project's for a profile.
    pub source: Option<Located<String>>,
    /// The content itself, rendered as a template.
    pub content: Option<Located<String>>,
    /// Permission bits; 0644 by default.
    pub mode: Option<Located<Mode>>,
    /// Owner; root by default.
    pub owner: Option<Located<Account>>,
    /// Group; the owner's own by default.
    pub group: Option<Located<Account>>,
    /// Only for these distros and those that are like them.
    pub only: Option<Vec<Located<Name>>>,
    /// Not for these distros and those that are like them.
    pub except: Option<Vec<Located<Name>>>,
    /// Only when this expression is true, such as `tls` or `port != 80`.
    pub when: Option<Located<String>>,
}

/// `[directory."/path"]`: a directory. A path with a pattern sets owner and mode of directories that come from trees.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectoryTable {
    /// Permission bits; 0755 by default.
    pub mode: Option<Located<Mode>>,
    /// Owner; root by default.
    pub owner: Option<Located<Account>>,
    /// Group; the owner's own by default.
    pub group: Option<Located<Account>>,
    /// Only for these distros and those that are like them.
    pub only: Option<Vec<Located<Name>>>,
    /// Not for these distros and those that are like them.
    pub except: Option<Vec<Located<Name>>>,
    /// Only when this expression is true, such as `tls` or `port != 80`.
    pub when: Option<Located<String>>,
}

/// `[link."/path"]`: a symbolic link.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkTable {
    /// What the link holds, absolute or relative to its directory; rendered as a template.
    pub target: Option<Located<String>>,
    /// Only for these distros and those that are like them.
    pub only: Option<Vec<Located<Name>>>,
    /// Not for these distros and those that are like them.
    pub except: Option<Vec<Located<Name>>>,
    /// Only when this expression is true, such as `tls` or `port != 80`.
    pub when: Option<Located<String>>,
}

/// `[remove."/path"]`: a path of lower layers, or of the base image, that shall not be there.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveTable {
    /// Only for these distros and those that are like them.
    pub only: Option<Vec<Located<Name>>>,
    /// Not for these distros and those that are like them.
    pub except: Option<Vec<Located<Name>>>,
    /// Only when this expression is true, such as `tls` or `port != 80`.
    pub when: Option<Located<String>>,
}

merge_fields!(FileTable { template, source, content, mode, owner, group, only, except, when });
merge_fields!(DirectoryTable { mode, owner, group, only, except, when });
merge_fields!(LinkTable { target, only, except, when });
merge_fields!(RemoveTable { only, except, when });
conditional!(FileTable, DirectoryTable, LinkTable, RemoveTable);
