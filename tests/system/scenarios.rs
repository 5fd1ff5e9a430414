//! What is asked of images in a machine, as scripts that do not care who made them.
//!
//! An image called NAME lies in `/images`, as `NAME.raw` or as a directory. Its content is known:
//! - a sysext has `/usr/share/NAME/note`, and `NAME.service`, which starts when the extension is merged; one of layerforge
//!   also has what [`sysext_works`] says;
//! - a confext has `/etc/NAME/note`;
//! - a portable image has `NAME.service`, which writes a file `note` into its state directory, called NAME, and stays.
//!
//! Every note is the line `note of NAME`. A scenario leaves the machine as it found it.

/// A sysext is merged: its files are there, its service runs, and both are gone when it is unmerged.
pub(crate) fn sysext_merges(image: &str) -> String {
    merge(image, "", "true")
}

/// A sysext of layerforge is merged as [`sysext_merges`] says. Its service has written a note into its state directory,
/// as the user `app`, who is there by then, as is the note in `/etc`, which belongs to that user.
pub(crate) fn sysext_works(image: &str) -> String {
    let name = name_of(image);
    format!("test ! -e /etc/{name}\n{}{}", merge(image, "", &works(name)), without_state(name))
}

/// A signed sysext works as [`sysext_works`] says where only signed ones may be merged, by way of dm-verity.
pub(crate) fn signed_sysext_works(image: &str) -> String {
    let name = name_of(image);
    let policy = "--image-policy=root=signed+absent:usr=signed+absent";
    let look = format!("dmsetup status --target verity | grep -w V\n{}", works(name));
    format!("{NO_VERITY}\n{}{}", merge(image, policy, &look), without_state(name))
}

/// Looks for what the service of a merged sysext of layerforge needs and makes.
fn works(name: &str) -> String {
    format!(
        r#"getent passwd 65532 | grep '^app:'
timeout 60 sh -c 'until grep -x "note of {name}" /var/lib/{name}/note; do sleep 0.1; done'
stat -c '%u %g %a' /var/lib/{name} | grep -x '65532 65532 750'
grep -x 'note of {name}' /etc/{name}/note
stat -c '%u %g %a' /etc/{name}/note | grep -x '65532 65532 640'"#
    )
}

/// Removes what a sysext of layerforge leaves on purpose.
fn without_state(name: &str) -> String {
    format!("rm -r /var/lib/{name} /etc/{name}\n")
}

/// Merges a sysext with the given options, and looks for something else while it is merged.
fn merge(image: &str, options: &str, look: &str) -> String {
    let (name, file) = (name_of(image), file_of(image));
    format!(
        r#"mkdir -p /var/lib/extensions
cp -a /images/{image} /var/lib/extensions/
test ! -e /usr/share/{name}
systemd-sysext {options} merge
grep -x 'note of {name}' /usr/share/{name}/note
systemd-sysext status --no-legend | grep -w {name}
# Older managers do not know EXTENSION_RELOAD_MANAGER.
version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "$version" -lt 255 ]; then systemctl daemon-reload; fi
{active}
{look}
# It runs a program of the merged /usr, which it keeps busy.
systemctl stop {name}.service
systemd-sysext unmerge
test ! -e /usr/share/{name}
rm -r /var/lib/extensions/{file}
systemctl daemon-reload
# What has done its work counts as running until it is stopped.
systemctl stop '{name}*'
refused systemctl cat {name}.service
"#,
        active = becomes_active(&format!("{name}.service"))
    )
}

/// A sysext is refused, and none of it is there. The reasons are written out at length.
pub(crate) fn sysext_is_refused(image: &str) -> String {
    let (name, file) = (name_of(image), file_of(image));
    format!(
        r#"{NO_VERITY}
mkdir -p /var/lib/extensions
cp -a /images/{image} /var/lib/extensions/
refused env SYSTEMD_LOG_LEVEL=debug systemd-sysext merge
test ! -e /usr/share/{name}
systemd-sysext unmerge
rm -r /var/lib/extensions/{file}
"#
    )
}

/// Waits until no verity device is left: systemd takes one of the same root hash for an image, unseen.
const NO_VERITY: &str = "timeout 60 sh -c 'while dmsetup ls --target verity | grep -q verity; do sleep 0.2; done'";

/// Trusts who signed with the certificate in `/images/CERTIFICATE`, and nobody else.
pub(crate) fn trusting(certificate: &str, script: &str) -> String {
    format!("mkdir -p /etc/verity.d\ncp /images/{certificate} /etc/verity.d/\n{script}\nrm -r /etc/verity.d\n")
}

/// Lets the service of an image start from a signed image only.
pub(crate) fn signed_only(image: &str, script: &str) -> String {
    let folder = format!("/etc/systemd/system/{}.service.d", name_of(image));
    format!(
        "mkdir -p {folder}\nprintf '[Service]\\nRootImagePolicy=root=signed\\n' >{folder}/policy.conf\n{script}\n\
         rm -r {folder}\nsystemctl daemon-reload\n"
    )
}

/// A portable image is attached, but its service does not start, because it may not have this root.
pub(crate) fn portable_does_not_start(image: &str) -> String {
    let name = name_of(image);
    format!(
        r#"{NO_VERITY}
portablectl attach /images/{image} {name}
systemctl start {name}.service || true
# It is started again and again, each time in vain.
timeout 60 sh -c 'until systemctl show --property=ExecMainStatus --value {name}.service | grep -x 226; do sleep 0.2; done'
test ! -e /var/lib/{name}/note
systemctl stop {name}.service
portablectl detach /images/{image} {name}
"#
    )
}

/// A confext is merged: its files are there, and gone when it is unmerged.
pub(crate) fn confext_merges(image: &str) -> String {
    let name = name_of(image);
    format!(
        r#"mkdir -p /var/lib/confexts
cp -a /images/{image} /var/lib/confexts/
test ! -e /etc/{name}
systemd-confext merge
grep -x 'note of {name}' /etc/{name}/note
systemd-confext status --no-legend | grep -w {name}
systemd-confext unmerge
test ! -e /etc/{name}
rm -r /var/lib/confexts/{image}
"#
    )
}

/// An image is a portable service: attached it runs, and it is detached without a trace. `extensions` lie over it, and
/// then it is the last of them that brings the service.
pub(crate) fn portable_runs(image: &str, extensions: &[&str], options: &str) -> String {
    let name = name_of(extensions.last().unwrap_or(&image));
    let over: String = extensions.iter().map(|image| format!("--extension=/images/{image} ")).collect();
    format!(
        r#"portablectl inspect {over}/images/{image} {name} >/dev/null
portablectl attach --now {options} {over}/images/{image} {name}
{active}
timeout 60 sh -c 'until grep -x "note of {name}" /var/lib/{name}/note; do sleep 0.1; done'
portablectl is-attached {over}/images/{image}
if [ -f /images/{image} ]; then grep -F /images/{image} /sys/block/loop*/loop/backing_file; fi
portablectl detach --now {over}/images/{image} {name}
refused systemctl cat {name}.service
refused systemctl is-active --quiet {name}.service
for place in /etc/systemd/system.attached /run/systemd/system.attached /etc/portables /run/portables; do
    test ! -e "$place" || test -z "$(find "$place" -name '*{name}*')"
done
timeout 60 sh -c 'while grep -qsF /images/ /sys/block/loop*/loop/backing_file; do sleep 0.1; done'
rm -rf /var/lib/{name} /var/lib/private/{name}
"#,
        active = becomes_active(&format!("{name}.service"))
    )
}

/// Waits until a unit is active, or shows why it is not.
fn becomes_active(unit: &str) -> String {
    format!(
        "timeout 60 sh -c 'until systemctl is-active --quiet {unit}; do sleep 0.1; done' || \
         {{ systemctl status --no-pager --full {unit}; exit 1; }}"
    )
}

/// Lets systemd find the partitions of an image, in a container: the kernel makes their nodes, of its own accord in no other
/// file system than this.
pub(crate) fn with_partitions(script: &str) -> String {
    format!("mount -t devtmpfs devtmpfs /dev\n{script}\numount --lazy /dev\n")
}

/// Returns the name of an image, given that of its file.
fn name_of(image: &str) -> &str {
    let file = file_of(image);
    file.strip_suffix(".raw").unwrap_or(file)
}

fn file_of(image: &str) -> &str {
    image.rsplit('/').next().unwrap_or(image)
}
