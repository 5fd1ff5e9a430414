"""Makes packages of Alpine and a signed index of them, by the rules of the formats alone.

Reads from the input: {"folder", "key", "key_name", "architecture", "packages": [{"name", "version", "info": [lines of
.PKGINFO], "scripts": {kind: text}, "entries": [[path, kind, mode, owner, content or target], ...]}]}. Writes packages and
APKINDEX.tar.gz into the folder, and tells identity, size and installed size of each package.
"""

import base64
import gzip
import hashlib
import json
import pathlib
import subprocess
import sys
import tarfile

BUILT = 1700000000
FIELDS = {"pkgdesc": "T", "url": "U", "license": "L", "origin": "o", "maintainer": "m", "provider_priority": "k"}
LISTS = {"depend": "D", "provides": "p", "install_if": "i"}
KINDS = {"directory": tarfile.DIRTYPE, "file": tarfile.REGTYPE, "symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE}


def member(name, content, mode=0o644, kind="file", owner="root:root", checksum=False):
    """Returns an entry of a tar archive."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = KINDS[kind], mode, BUILT
    info.uname, info.gname = owner.split(":")
    # Who built the package: names count, numbers do not.
    info.uid = info.gid = 0 if owner == "root:root" else 1234
    if kind in ("symlink", "hardlink"):
        info.linkname = content.decode()
    info.size = len(content) if kind == "file" else 0
    if checksum and kind in ("file", "symlink"):
        info.pax_headers = {"APK-TOOLS.checksum.SHA1": hashlib.sha1(content).hexdigest()}
    data = content if kind == "file" else b""
    return info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512)


def compress(blocks):
    return gzip.compress(blocks, mtime=0)


def signed(blocks, asked):
    """Returns a compressed piece with a signature before it."""
    piece = compress(blocks)
    command = ["openssl", "dgst", "-sha256", "-sign", asked["key"]]
    signature = subprocess.run(command, input=piece, stdout=subprocess.PIPE, check=True).stdout
    return compress(member(".SIGN.RSA256." + asked["key_name"], signature)) + piece, piece


def package(one, asked):
    """Writes a package; returns its record in the index, and what is told of it."""
    data, installed = b"", 0
    for path, kind, mode, owner, content in one["entries"]:
        if content.startswith("@"):
            content = pathlib.Path(content[1:]).read_bytes()
        else:
            content = content.encode()
        installed += len(content) if kind == "file" else 0
        data += member(path, content, int(mode, 8), kind, owner, True)
    data = compress(data + bytes(1024))
    lines = ["# made by the tests", f"pkgname = {one['name']}", f"pkgver = {one['version']}", *one["info"]]
    if not any(line.startswith("arch = ") for line in lines):
        lines.append("arch = " + asked["architecture"])
    lines += [f"size = {installed}", f"builddate = {BUILT}", f"datahash = {hashlib.sha256(data).hexdigest()}", ""]
    control = member(".PKGINFO", "\n".join(lines).encode())
    for kind, text in one["scripts"].items():
        control += member("." + kind, text.encode(), 0o755)
    head, control = signed(control, asked)
    whole = head + data
    identity = "Q1" + base64.b64encode(hashlib.sha1(control).digest()).decode()
    (pathlib.Path(asked["folder"]) / f"{one['name']}-{one['version']}.apk").write_bytes(whole)
    record = [f"C:{identity}", f"P:{one['name']}", f"V:{one['version']}", f"A:{asked['architecture']}"]
    record += [f"S:{len(whole)}", f"I:{installed}", f"t:{BUILT}"]
    pairs = [line.split(" = ", 1) for line in one["info"] if " = " in line]
    record += [f"{FIELDS[key]}:{value}" for key, value in pairs if key in FIELDS]
    for key, letter in LISTS.items():
        values = [value for found, value in pairs if found == key]
        if values:
            record.append(f"{letter}:{' '.join(values)}")
    return record, [identity, len(whole), installed]


def main():
    asked = json.load(sys.stdin)
    records, told = [], {}
    for one in asked["packages"]:
        record, told[one["name"]] = package(one, asked)
        records.append("\n".join(record) + "\n\n")
    text = "".join(records).encode()
    index = member("DESCRIPTION", b"tests") + member("APKINDEX", text) + bytes(1024)
    (pathlib.Path(asked["folder"]) / "APKINDEX.tar.gz").write_bytes(signed(index, asked)[0])
    json.dump(told, sys.stdout)


main()
