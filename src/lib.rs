//! layerforge renders one declarative description of a Linux userland into every shape it is deployed in.
//!
//! ```text
//! layerforge render --distro alpine          rootfs/ and a Dockerfile, ready for  COPY rootfs/ /
//! layerforge render --output sysext          sysext/NAME.raw, ready for  systemd-sysext merge
//! ```
//!
//! # The flow: one function per arrow, no arrow back
//!
//! ```text
//! profiles/*.toml, layers/*/layer.toml, distros/*.toml
//!   │ spec       text → documents that remember where every value was written
//!   ▼
//! Library ──resolve──▶ Recipe ──lock──▶ Lock          (one recipe per distro; decided, rendered, checked)
//!                        │
//!                       plan                          pure: a graph of actions, plain data
//!                        ▼
//!                       Plan
//!                        │ build                      trees of layers, laid over each other
//!                        ▼
//!                      Stacked ──deploy──▶ Dockerfile, units
//!                        │ image                      rootfs/, archives, file systems, disk images, manifest
//!                        │ lint                       refuses what would not work
//!                        ▼
//!                    Destination                      switched in one step, or untouched
//! ```
//!
//! # Words
//!
//! Each has one meaning, in code, messages and documents.
//!
//! | word | meaning |
//! |---|---|
//! | profile | `profiles/NAME.toml`: what to ship: distros, layers, variables, runtime contract, outputs |
//! | layer | `layers/NAME/`: `layer.toml` and file trees: a reusable part of a root filesystem |
//! | tier | where a layer stands: base, distro, application, overlay; higher ones may replace paths of lower ones |
//! | distro | a distribution, described by TOML data; `target` is one release of it for one architecture |
//! | entry | one path of a layer as written: file, directory, symbolic link or removal |
//! | process, job | the runtime contract of a program that stays, or of one that ends |
//! | tree | a root filesystem in memory: path → node; hard links are paths with one node |
//! | content | of a regular file: its digest and length, and where its bytes are |
//! | recipe | a profile resolved for one distro |
//! | lock | `profiles/NAME.lock`: what the profile asks of the outside world, for every distro |
//! | plan, action | what will be done, as data; one step of it |
//! | stack | ordered trees, and the merged view that knows where each path came from |
//! | output, artifact | a shape to write; a file or directory that was written |
//! | store | the cache folder: losing it costs time and nothing else |
//!
//! # Rooms, from the ground up
//!
//! A module uses only those above it in this list; `tests/architecture.rs` checks it.
//!
//! # Decisions that are not visible in one place
//!
//! * **The tree is the currency.** Owners, modes and attributes live in it exactly, whoever runs the program. Contents are
//!   digests and places; bytes are copied once, from where they are to where they go.
//! * **Times.** Files of a project get the profile's epoch (`SOURCE_DATE_EPOCH`, or `epoch`, or 0): what a checkout made
//!   of their times says nothing. Times inside an imported archive are part of it and only clamped.
//! * **A COPY carries only what is owned by root and plain.** `rootfs/` holds every directory, file and link with the mode
//!   it has, without setuid and setgid bits; whatever has another owner, such a bit, an attribute, or is a device goes into
//!   `rootfs.tar` as well, which the Dockerfile adds after the COPY. A directory that only leads somewhere has the mode
//!   that the distribution gives it, because a COPY changes existing directories.
//! * **Images are made from trees, never from directories.** What an extension carries, subtracting a base and completing a
//!   portable service are functions on trees (`image::extension`); EROFS, GPT and dm-verity are ours and stream from where
//!   contents are. An image is kept in the store under the digest of its tree and settings, and copied into destinations.
//! * **What comes from elsewhere is named by its digest.** `fetch` knows the network and nothing of what it carries; a tag is
//!   looked up once and its digest kept in the lock, and from then on everything is checked, resumed and shared by digest.
//! * **Sharing is computed, not asked for.** Of each layer, what comes out the same for every distro of the profile is its
//!   neutral part; a container image has it as a layer of its own, which is one blob for all distros, for it depends on nothing
//!   below it. What is left is found by comparing trees, so that the layers of an image are always the whole tree
//!   (`image::oci`).
//! * **Units carry numbers, not names.** A service of an extension runs as the uid that its files have, because a merge
//!   neither makes accounts nor can change them; `PREFIX-files.service` makes what a late merge missed.
//! * **Unchanged is cheap.** A render writes down the stamp of everything it read, listed or looked for, and of everything
//!   it wrote. When all of it is as it was, nothing is parsed. A stamp that is too young to be trusted is never equal.
//!   After an edit, what a file holds is known by its stamp, and what a template renders to by the digest of its text and of
//!   all values it may look up.
//! * **Results do not depend on the host**: sorted, no clock, no locale, no thread order, no file system order.

pub mod digest;
pub mod fs;
pub mod event;
pub mod store;
pub mod fetch;
pub mod tree;
pub mod spec;
pub mod distro;
pub mod resolve;
pub mod lock;
pub mod packages;
pub mod image;
pub mod registry;
pub mod publish;
pub mod deploy;
pub mod lint;
pub mod plan;
pub mod sandbox;
pub mod build;
pub mod error;
pub mod engine;
pub mod cli;
