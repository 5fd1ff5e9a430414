//! What is asked of images in a machine, as scripts that do not care who made them.
//!
//! An image called NAME lies in `/images`, as `NAME.raw` or as a directory. Its content is known:
//! - a sysext has `/usr/share/NAME/note`, and `NAME.service`, which starts when the extension is merged;
//! - a confext has `/etc/NAME/note`;
//! - a portable image has `NAME.service`, which writes a file `note` into its state directory, called NAME, and stays.
//!
//! Every note is the line `note of NAME`. A scenario leaves the machine as it found it.

/// A sysext is merged: its files are there, its service runs, and both are gone when it is unmerged.
pub(crate) fn sysext_merges(image: &str) -> String {
    let name = name_of(image);
    format!(
        r#"mkdir -p /var/lib/extensions
cp -a /images/{image} /var/lib/extensions/
test ! -e /usr/share/{name}
systemd-sysext merge
grep -x 'note of {name}' /usr/share/{name}/note
systemd-sysext status --no-legend | grep -w {name}
# Older managers do not know EXTENSION_RELOAD_MANAGER.
version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "$version" -lt 255 ]; then systemctl daemon-reload; fi
{active}
systemctl stop {name}.service
systemd-sysext unmerge
test ! -e /usr/share/{name}
rm -r /var/lib/extensions/{image}
systemctl daemon-reload
"#,
        active = becomes_active(&format!("{name}.service"))
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
timeout 20 sh -c 'until grep -x "note of {name}" /var/lib/{name}/note; do sleep 0.1; done'
portablectl is-attached {over}/images/{image}
portablectl detach --now {over}/images/{image} {name}
refused systemctl cat {name}.service
refused systemctl is-active --quiet {name}.service
left=$(find /etc/systemd /run/systemd/system* /etc/portables /run/portables -name '*{name}*' 2>/dev/null || true)
test -z "$left"
refused grep -F /images/ /sys/block/loop*/loop/backing_file
rm -rf /var/lib/{name} /var/lib/private/{name}
"#,
        active = becomes_active(&format!("{name}.service"))
    )
}

/// Waits until a unit is active, or shows why it is not.
fn becomes_active(unit: &str) -> String {
    format!(
        "timeout 20 sh -c 'until systemctl is-active --quiet {unit}; do sleep 0.1; done' || \
         {{ systemctl status --no-pager --full {unit}; exit 1; }}"
    )
}

/// Returns the name of an image, given that of its file.
fn name_of(image: &str) -> &str {
    image.strip_suffix(".raw").unwrap_or(image)
}
