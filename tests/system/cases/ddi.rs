//! Disk images, judged by those who made the format: systemd-repart, veritysetup, openssl, sgdisk, sfdisk.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use layerforge::digest::Digest;
use layerforge::distro::Architecture;
use layerforge::image::ddi::{self, Ddi, Options, Verity};
use layerforge::image::gpt::{Partition, PartitionRole, Seed};
use layerforge::image::signature::{Certificate, Signer, SigningKey};
use layerforge::image::verity::{Region, format, tree_length};

use crate::Outcome;
use crate::command::{explain, program, run, run_refused};
use crate::machine::tree::{DEBIAN_13, TESTING};
use crate::world::{World, repository};

const SEED: &str = "00112233-4455-6677-8899-aabbccddeeff";
const MIB: usize = 1 << 20;

pub(super) fn as_systemd_repart_257(world: &World) -> Outcome {
    as_systemd_repart(world, &world.tree(&DEBIAN_13)?.root(), "257")
}

pub(super) fn as_systemd_repart_of_testing(world: &World) -> Outcome {
    as_systemd_repart(world, &world.tree(&TESTING)?.root(), "2")
}

/// Images are, byte for byte, those that systemd-repart makes of the same payload.
fn as_systemd_repart(world: &World, tree: &Path, version: &str) -> Outcome {
    let found = run(program("chroot").arg(tree).args(["systemd-repart", "--version"]))?;
    let found = found.lines().next().unwrap_or_default();
    crate::say(&format!("  {found}"));
    if !found.starts_with(&format!("systemd {version}")) {
        return Err(format!("expected systemd {version}, found {found}"));
    }
    let folder = world.folder("repart")?;
    let signer = signer("rsa")?;
    let cases = [
        (Architecture::X86_64, PartitionRole::Root, 4096),
        (Architecture::X86_64, PartitionRole::Root, MIB + 5),
        // The last one that begins behind the table, and the first that begins at 1 MiB.
        (Architecture::Aarch64, PartitionRole::Usr, 4 * MIB - 40960 - 16384 - 10 * 4096),
        (Architecture::Aarch64, PartitionRole::Usr, 4 * MIB - 40960 - 16384 - 9 * 4096),
        (Architecture::Riscv64, PartitionRole::Root, 4 * MIB - 40960 - 16384 - 8 * 4096),
        (Architecture::Riscv64, PartitionRole::Usr, 70 * MIB),
    ];
    for (architecture, role, length) in cases {
        let payload = payload(&folder, length)?;
        for verity in [Verity::None, Verity::Hash, Verity::Signed(&signer)] {
            let own = folder.join("own.raw");
            write(&payload, &own, &options(architecture, role, verity))?;
            let theirs = repart(tree, &folder, role, verity, &own)?;
            run(program("cmp").arg(&own).arg(&theirs))
                .map_err(|error| format!("{architecture} {role:?} {length} {verity:?}: {error}"))?;
        }
    }
    Ok(())
}

/// Lets systemd-repart make an image of the size and architecture of `own`, with partitions of the size of those in it.
fn repart(tree: &Path, folder: &Path, role: PartitionRole, verity: Verity<'_>, own: &Path) -> Outcome<PathBuf> {
    let definitions = folder.join("definitions");
    remove(&definitions)?;
    fs::create_dir(&definitions).map_err(explain("make the definitions"))?;
    let role = if role == PartitionRole::Root { "root" } else { "usr" };
    let (hashed, signed) = (!matches!(verity, Verity::None), matches!(verity, Verity::Signed(_)));
    let (ddi, _) = read(own)?;
    for (index, partition) in ddi.reading.table.partitions.iter().enumerate() {
        let (suffix, kind) = [("", "data"), ("-verity", "hash"), ("-verity-sig", "signature")][index];
        let mut text = format!("[Partition]\nType={role}{suffix}\nFlags=0x1000000000000000\n");
        if hashed {
            text += &format!("Verity={kind}\nVerityMatchKey=k\n");
        }
        if index == 0 {
            // Without these two it adds a flag of its own to what is not protected by verity.
            text += "CopyBlocks=/image/payload\nReadOnly=yes\nGrowFileSystem=no\n";
        }
        if index < 2 {
            text += &format!("SizeMinBytes={0}\nSizeMaxBytes={0}\n", partition.length);
        }
        fs::write(definitions.join(format!("{index}.conf")), text).map_err(explain("write a definition"))?;
    }
    let architecture = ddi.data.ok_or("no data partition")?.1.label().replacen(&format!("{role}-"), "", 1);
    let theirs = folder.join("theirs.raw");
    remove(&theirs)?;
    let keys = repository().join("tests/keys");
    let size = fs::metadata(own).map_err(explain("look at the image"))?.len();
    let mut command = program("systemd-nspawn");
    command.args(["--quiet", "--register=no", "--keep-unit", "--private-network", "--pipe", "-D"]).arg(tree);
    command.arg(format!("--bind={}:/image", folder.display()));
    command.arg(format!("--bind-ro={}:/keys", keys.display()));
    command.args([
        "systemd-repart",
        "--offline=yes",
        "--empty=create",
        "--dry-run=no",
        "--definitions=/image/definitions",
    ]);
    command.args([format!("--size={size}"), format!("--architecture={architecture}"), format!("--seed={SEED}")]);
    if signed {
        command.args(["--private-key=/keys/rsa.pem", "--certificate=/keys/rsa.crt"]);
    }
    run(command.arg("/image/theirs.raw"))?;
    Ok(theirs)
}

/// Hash trees are those of veritysetup, for every shape of a tree.
pub(super) fn as_veritysetup(world: &World) -> Outcome {
    let folder = world.folder("verity")?;
    let (salt, uuid) = ([0x5a_u8; 32], "00112233-4455-6677-8899-aabbccddeeff");
    let hex = "5a".repeat(32);
    for blocks in [1, 2, 127, 128, 129, 128 * 128, 128 * 128 + 1, 20_000] {
        let data = payload(&folder, blocks * 4096)?;
        let theirs = folder.join("theirs.verity");
        remove(&theirs)?;
        let mut command = program("veritysetup");
        command.args(["format", "--salt", &hex, "--uuid", uuid]).arg(&data).arg(&theirs);
        let said = run(&mut command)?;
        let own = folder.join("own.verity");
        let tree = create(&own)?;
        let length = tree_length((blocks * 4096) as u64);
        tree.set_len(length).map_err(explain("size the tree"))?;
        let file = File::open(&data).map_err(explain("open the data"))?;
        let (data_region, tree_region) = (
            Region { file: &file, offset: 0, length: (blocks * 4096) as u64 },
            Region { file: &tree, offset: 0, length },
        );
        let id = uuid.parse().map_err(explain("understand a UUID"))?;
        let root = format(data_region, tree_region, id, &salt).map_err(|error| error.to_string())?;
        if !said.contains(&root.hex()) {
            return Err(format!("{blocks} blocks: the root hash is {}, veritysetup says {said}", root.hex()));
        }
        run(program("cmp").arg(&own).arg(&theirs))?;
        run(program("veritysetup").arg("verify").args([&data, &own]).arg(root.hex()))?;
    }
    Ok(())
}

/// Keys of every kind are made, images signed with them, from here and from elsewhere; every tool agrees.
pub(super) fn signed_with_every_key(world: &World) -> Outcome {
    let folder = world.folder("signed")?;
    let payload = payload(&folder, 3 * MIB)?;
    for (index, (kind, verity)) in
        [("rsa", Verity::Defer), ("ecdsa-p256", Verity::Defer), ("ecdsa-p384", Verity::Hash)].into_iter().enumerate()
    {
        let (key, certificate) = (folder.join(format!("{kind}.key")), folder.join(format!("{kind}.crt")));
        let image = folder.join(format!("{kind}.raw"));
        let mut generate = layerforge(&["key", "generate", "--type", kind, "--subject", "a, b"]);
        generate.arg("--key").arg(&key).arg("--cert").arg(&certificate);
        // Encrypted in one of the cases.
        let passphrase = if index == 1 { "secret" } else { "" };
        run(generate.env("LAYERFORGE_PASSPHRASE", passphrase))?;
        run_refused(&mut generate)?;
        let mode = fs::metadata(&key).map_err(explain("look at the key"))?.permissions().mode();
        if mode & 0o7777 != 0o600 {
            return Err(format!("the key has the mode {mode:o}"));
        }
        run(program("openssl").args(["x509", "-noout", "-checkend", "300000000", "-in"]).arg(&certificate))?;
        write(&payload, &image, &options(Architecture::X86_64, PartitionRole::Root, verity))?;
        let mut sign = layerforge(&["sign"]);
        sign.arg(&image)
            .arg("--key")
            .arg(&key)
            .arg("--cert")
            .arg(&certificate)
            .env("LAYERFORGE_PASSPHRASE", passphrase);
        run(&mut sign)?;
        judged(&folder, &image, &certificate)?;
        // openssl signs in our place, and then we again.
        let before = fs::read(&image).map_err(explain("read the image"))?;
        let mut command = "openssl smime -sign -binary -noattr -nosmimecap -outform der -passin pass:secret".to_owned();
        command += &format!(" -inkey '{}' -signer '{}'", key.display(), certificate.display());
        let mut sign_elsewhere = layerforge(&["sign", "--signer", &command]);
        run(sign_elsewhere.arg(&image).arg("--cert").arg(&certificate))?;
        judged(&folder, &image, &certificate)?;
        run(&mut sign)?;
        if fs::read(&image).map_err(explain("read the image"))? != before {
            return Err(format!("{kind}: signed again, the image is another one"));
        }
    }
    Ok(())
}

/// Asks every judge about a signed image.
fn judged(folder: &Path, image: &Path, certificate: &Path) -> Outcome {
    let found = run(program("sgdisk").arg("--verify").arg(image))?;
    if !found.contains("No problems found") {
        return Err(format!("sgdisk: {found}"));
    }
    let found = run(program("sfdisk").arg("--verify").arg(image))?;
    if !found.contains("No errors detected") {
        return Err(format!("sfdisk: {found}"));
    }
    let (ddi, file) = read(image)?;
    let faults: Vec<String> = ddi.faults().collect();
    if !faults.is_empty() {
        return Err(format!("faults: {faults:?}"));
    }
    let pem = fs::read_to_string(certificate).map_err(explain("read the certificate"))?;
    let own = Certificate::from_pem(&pem).map_err(|error| error.to_string())?;
    let root = ddi.verify(&file, Some(&own)).map_err(|error| error.to_string())?;
    let [data, tree] = ["data", "tree"].map(|name| folder.join(name));
    cut(&file, &ddi.data.as_ref().ok_or("no data")?.0, &data)?;
    cut(&file, &ddi.tree.as_ref().ok_or("no tree")?.partition, &tree)?;
    run(program("veritysetup").arg("verify").args([&data, &tree]).arg(root.hex()))?;
    let record = ddi.signature.ok_or("no signature")?.record.map_err(|error| error.to_string())?;
    let (signature, text) = (folder.join("signature"), folder.join("text"));
    fs::write(&signature, &record.signature).map_err(explain("write the signature"))?;
    for tool in ["smime", "cms"] {
        let verify = |root: &Digest| {
            fs::write(&text, root.hex()).map_err(explain("write the text"))?;
            let mut command = program("openssl");
            command.args([tool, "-verify", "-binary", "-inform", "der", "-nointern", "-noverify", "-in"]);
            command.arg(&signature).arg("-content").arg(&text).arg("-certfile").arg(certificate);
            Ok::<_, String>(command)
        };
        run(&mut verify(&root)?)?;
        run_refused(&mut verify(&Digest::of("other"))?)?;
    }
    Ok(())
}

fn cut(image: &File, partition: &Partition, to: &Path) -> Outcome {
    let mut bytes = vec![0; usize::try_from(partition.length).map_err(explain("hold a partition"))?];
    image.read_exact_at(&mut bytes, partition.offset).map_err(explain("read a partition"))?;
    fs::write(to, bytes).map_err(explain("write a partition"))
}

fn read(image: &Path) -> Outcome<(Ddi, File)> {
    let file = File::open(image).map_err(explain("open the image"))?;
    let length = file.metadata().map_err(explain("look at the image"))?.len();
    Ok((ddi::read(&file, length).map_err(|error| error.to_string())?, file))
}

fn write(payload: &Path, image: &Path, options: &Options<'_>) -> Outcome {
    let mut payload = File::open(payload).map_err(explain("open the payload"))?;
    ddi::write(&mut payload, create(image)?, options).map_err(|error| error.to_string()).map(drop)
}

fn options(architecture: Architecture, role: PartitionRole, verity: Verity<'_>) -> Options<'_> {
    let seed = u128::from_str_radix(&SEED.replace('-', ""), 16).unwrap();
    Options { role, architecture, seed: Seed::from_bytes(seed.to_be_bytes()), verity }
}

fn signer(name: &str) -> Outcome<Signer> {
    let read =
        |name: String| fs::read_to_string(repository().join("tests/keys").join(name)).map_err(explain("read a key"));
    let wrong = |error: layerforge::image::signature::SignatureError| error.to_string();
    let key = SigningKey::from_pem(&read(format!("{name}.pem"))?, None).map_err(wrong)?;
    Signer::with_key(key, Certificate::from_pem(&read(format!("{name}.crt"))?).map_err(wrong)?).map_err(wrong)
}

/// Writes a payload of so many bytes, none of its blocks like another. Its end is padded as `CopyBlocks=` wants it.
fn payload(folder: &Path, length: usize) -> Outcome<PathBuf> {
    let path = folder.join("payload");
    let mut bytes: Vec<u8> = (0..length).map(|place| ((place / 4096) * 31 + place * 7 + place / 251) as u8).collect();
    bytes.resize(length.next_multiple_of(4096), 0);
    fs::write(&path, bytes).map_err(explain("write a payload"))?;
    Ok(path)
}

fn create(path: &Path) -> Outcome<File> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
    file.map_err(explain(format!("create {}", path.display())))
}

fn remove(path: &Path) -> Outcome {
    if path.is_dir() {
        return fs::remove_dir_all(path).map_err(explain(format!("remove {}", path.display())));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn layerforge(arguments: &[&str]) -> std::process::Command {
    let mut command = program(env!("CARGO_BIN_EXE_layerforge"));
    command.args(arguments);
    command
}
