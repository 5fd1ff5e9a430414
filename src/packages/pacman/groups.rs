//! Groups: names that stand for several packages when somebody asks for them.

use crate::packages::model::{NameId, PackageId, Pool, Request};

/// Returns the packages of a group that the first of the repositories has that know it, sorted by name.
pub fn members(pool: &Pool, group: &str) -> Vec<PackageId> {
    let is_in = |id: &PackageId| {
        let groups = pool.text(pool.package(*id).section);
        groups.split(|&byte| byte == b' ').any(|name| name == group.as_bytes())
    };
    let mut members: Vec<PackageId> = Vec::new();
    for id in pool.ids().filter(is_in) {
        let name: NameId = pool.package(id).name;
        // A package that several repositories have is a member once.
        if members.last().is_none_or(|last| pool.package(*last).name != name) {
            members.push(id);
        }
    }
    members
}

/// Returns what is asked for with every group replaced by its members. A package or provider of that name comes before a
/// group, as with pacman.
pub fn expand(pool: &Pool, requests: Vec<Request>) -> Vec<Request> {
    let mut expanded = Vec::new();
    for request in requests {
        let known = pool.find(request.name.as_bytes()).is_some_and(|name| pool.serving(name).next().is_some());
        let members = if known { Vec::new() } else { members(pool, &request.name) };
        if members.is_empty() {
            expanded.push(request);
        }
        let name = |id: PackageId| String::from_utf8_lossy(pool.name(pool.package(id).name)).into_owned();
        expanded.extend(members.into_iter().map(|id| Request::any(name(id))));
    }
    expanded
}
